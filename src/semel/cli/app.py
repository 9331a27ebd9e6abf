"""The commands, and what becomes of their errors: one line on stderr and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from semel.cli import operations, records
from semel.cli.exits import MEANINGS, Exit, exit_of
from semel.cli.explore import explore
from semel.cli.serve import serve
from semel.errors import SemelError

__all__ = ["app", "main"]

app = typer.Typer(
    name="semel",
    help="Creates accounts once, whole, or not at all. Settings come from SEMEL_… variables and a .env file.",
    epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items()) + ".",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its rendering of an unforeseen error could show values
    rich_markup_mode=None,
)
app.command()(serve)
app.command()(operations.migrate)
app.command()(operations.upkeep)
app.command()(operations.config)
app.command()(explore)
app.add_typer(records.user, name="user")
app.add_typer(records.registration, name="registration")
app.add_typer(records.removal, name="removal")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command of these arguments, or of ``sys.argv``, and exit."""
    try:
        sys.exit(app(arguments, prog_name="semel", standalone_mode=False))
    except typer.TyperException as error:
        sys.stderr.write(_usage(error.format_message()))
        sys.exit(Exit.USAGE)
    except SemelError as error:
        sys.stderr.write(f"semel: {error.code}: {_one_line(error)}\n")
        sys.exit(exit_of(error))


def _usage(message: str) -> str:
    """Return what is wrong with the command line, in one line; who gave no command at all is shown the help."""
    return f"{message}\n" if "\n" in message else f"semel: usage: {message} (see semel --help)\n"


def _one_line(error: SemelError) -> str:
    return "; ".join([error.detail, *(f"{fault.field}: {fault.message}" for fault in error.errors)])
