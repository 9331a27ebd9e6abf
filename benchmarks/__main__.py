"""Measures Semel beside what it is built on, and prints tables.

python -m benchmarks [--only NAME]… [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import uvloop
from rich import box
from rich.console import Console
from rich.table import Table as Shown

from benchmarks.accounts import ACCOUNTS
from benchmarks.counts import COUNTS
from benchmarks.crowd import CROWD
from benchmarks.engine_clouds import CLOUDS_FILLED, ENGINE_CLOUDS
from benchmarks.engine_postgres import ENGINE_POSTGRES
from benchmarks.engine_sqlite import ENGINE_SQLITE
from benchmarks.http import HTTP
from benchmarks.layers import LAYERS
from benchmarks.look import LOOK
from benchmarks.remote import REMOTE, REMOTE_LATENCY
from benchmarks.turns import Bench, Benchmark, Table
from tests.services import PostgresServer, postgres_server

BENCHMARKS = (
    COUNTS,
    ENGINE_POSTGRES,
    ENGINE_SQLITE,
    ENGINE_CLOUDS,
    HTTP,
    LAYERS,
    LOOK,
    REMOTE,
    REMOTE_LATENCY,
    CROWD,
    ACCOUNTS,
    CLOUDS_FILLED,
)


def main() -> None:
    """Run all, or those asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Semel beside what it is built on.")
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("--only", action="append", choices=names, help="may be given several times")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    chosen = [benchmark for benchmark in BENCHMARKS if benchmark.name in (options.only or names)]
    tables: dict[str, Table] = {}
    with postgres_server() as postgres:
        for benchmark in chosen:
            tables[benchmark.name] = table = _run(benchmark, postgres)
            if not options.json:
                _show(table)
    if options.json:
        sys.stdout.write(json.dumps({name: _as_json(table) for name, table in tables.items()}) + "\n")


def _run(benchmark: Benchmark, postgres: PostgresServer) -> Table:
    begun = time.perf_counter()

    def say(what: str) -> None:
        sys.stderr.write(f"{time.perf_counter() - begun:6.1f} s  {benchmark.name}: {what}\n")

    say("begins")
    # On the event loop that the server runs on.
    table = uvloop.run(benchmark.run(Bench(postgres, benchmark.effort, say)))
    say("done")
    return table


def _as_json(table: Table) -> object:
    return {"title": table.title, "rows": [dict(zip(table.heads, row, strict=True)) for row in table.rows]}


def _show(table: Table) -> None:
    """Print a table that reads well here, and in a Markdown document as well."""
    shown = Shown(box=box.MARKDOWN)
    for number, head in enumerate(table.heads):
        shown.add_column(head, justify="left" if number == 0 else "right", no_wrap=True)
    for row in table.rows:
        shown.add_row(*map(_text, row))
    console = Console(width=120, highlight=False)
    console.print(f"\n{table.title}\n", shown)


def _text(cell: str | float) -> str:
    match cell:
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:.2f}"
        case _:
            return cell


if __name__ == "__main__":
    main()
