"""The commands, and what becomes of their errors: one line on stderr and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from semel.cli import operations, records
from semel.cli.exits import MEANINGS, Exit, exit_of
from semel.cli.explore import explore
from semel.cli.gotrue import gotrue
from semel.cli.invitations import invite
from semel.cli.keys import key
from semel.cli.mail import mail
from semel.cli.outbox import outbox
from semel.cli.output import print_lines
from semel.cli.serve import serve
from semel.cli.users import add_commands
from semel.errors import SemelError

__all__ = ["app", "main"]

app = typer.Typer(
    name="semel",
    epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items()) + ".",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its rendering of an unforeseen error could show values
    rich_markup_mode=None,
)


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - as Typer calls it
    if wanted:
        print_lines(f"semel {version('semel')}")
        raise typer.Exit


@app.callback()
def common(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Creates accounts once, whole, or not at all. Settings come from SEMEL_… variables and a .env file."""


app.command()(serve)
app.command()(operations.migrate)
app.command()(operations.upkeep)
app.command()(records.check)
app.command()(operations.config)
app.command()(explore)
add_commands(records.user)
app.add_typer(records.user, name="user")
app.add_typer(invite, name="invite")
app.add_typer(key, name="key")
app.add_typer(records.registration, name="registration")
app.add_typer(records.removal, name="removal")
app.add_typer(outbox, name="outbox")
app.add_typer(mail, name="mail")
app.add_typer(gotrue, name="gotrue")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command of these arguments, or of ``sys.argv``, and exit."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not all(map(_is_text, given)):
        sys.stderr.write(_usage("an argument is no text in UTF-8"))
        sys.exit(Exit.USAGE)
    try:
        sys.exit(app(given, prog_name="semel", standalone_mode=False))
    except typer.TyperException as error:
        sys.stderr.write(_usage(error.format_message()))
        sys.exit(Exit.USAGE)
    except SemelError as error:
        sys.stderr.write(f"semel: {error.code}: {_one_line(error)}\n")
        sys.exit(exit_of(error))


def _is_text(argument: str) -> bool:
    """Tell whether the system could decode it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in argument)


def _usage(message: str) -> str:
    """Return what is wrong with the command line, in one line; who gave no command at all is shown the help."""
    return f"{message}\n" if "\n" in message else f"semel: usage: {message} (see semel --help)\n"


def _one_line(error: SemelError) -> str:
    return "; ".join([error.detail, *(f"{fault.field}: {fault.message}" for fault in error.errors)])
