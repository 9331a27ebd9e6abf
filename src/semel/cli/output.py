"""How commands print: tables for people, JSON for machines. A pipe gets neither colours nor cut lines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

__all__ = ["AsJson", "print_json", "print_lines", "print_pairs", "print_table"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]

_PIPE_WIDTH: Final = 2**31
"""Wider than any value: what reads a pipe wants a record a line, whole."""


def print_json(value: object) -> None:
    """Print a value as JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def print_lines(*lines: str) -> None:
    """Print sentences."""
    console = _console()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print a table, or the sentence for an empty one."""
    table = Table(*(Column(name, overflow="fold") for name in columns), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(_shown, row))
    if table.row_count:
        _print(table)
    else:
        print_lines(empty)


def print_pairs(pairs: Mapping[str, Any]) -> None:
    """Print names and values."""
    table = Table("Name", Column("Value", overflow="fold"), show_header=False, box=None, pad_edge=False)
    for name, value in pairs.items():
        table.add_row(name, _shown(value))
    _print(table)


def _print(table: Table) -> None:
    console = _console()
    with console.capture() as captured:
        console.print(table, markup=False)
    # Every cell is padded to its column's width, also the last one of a line.
    console.out("\n".join(line.rstrip() for line in captured.get().splitlines()), highlight=False)


def _shown(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case tuple() | list():
            return ", ".join(map(_shown, value)) or "-"
        case _:
            return str(value)


def _console() -> Console:
    # Made anew each time: whoever redirects stdout means the one of now.
    return Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
