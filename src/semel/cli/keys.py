"""Commands about API keys."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from semel.api_keys import Scope
from semel.cli.opened import ask
from semel.cli.output import AsJson, print_json, print_lines, print_pairs, print_table
from semel.model import ApiKey

__all__ = ["key"]

key = typer.Typer(no_args_is_help=True, help="API keys: with one a program administers, within its scopes.")

_LIMIT: Final = 1_000
_DAY: Final = 86_400.0


def _shown(one: ApiKey) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "scopes": one.scopes,
        "created_by": one.created_by,
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "revoked_at": one.revoked_at,
    }


@key.command()
def create(
    name: Annotated[str, typer.Argument(help="What people will call it.")],
    *,
    scope: Annotated[list[Scope], typer.Option(help="What it lets a program do; repeat it for each.")],
    days: Annotated[float | None, typer.Option(min=0, help="For how long; for ever without it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key. It is shown this once."""
    seconds = None if days is None else days * _DAY
    made = ask(lambda semel: semel.create_api_key(name, tuple(scope), seconds=seconds, by="cli"))
    shown = {"token": made.token.reveal(), **_shown(made.key)}
    (print_json if as_json else print_pairs)(shown)


@key.command("list")
def listed(
    *,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_LIMIT, help="How many to show.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List API keys, page by page, also those that let nobody in any more."""
    page = ask(lambda semel: semel.api_keys(cursor, limit))
    if as_json:
        print_json({"keys": [_shown(one) for one in page.keys], "cursor": page.cursor})
        return
    rows = [(one.name, one.scopes, one.created_at, one.expires_at, one.revoked_at, one.id) for one in page.keys]
    print_table(("Name", "Scopes", "Created", "Expires", "Revoked", "Id"), rows, "There are no API keys.")
    if page.cursor is not None:
        print_lines(f"More: semel key list --cursor '{page.cursor}'")


@key.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")], *, as_json: AsJson = False) -> None:
    """Take an API key back for good."""
    shown = _shown(ask(lambda semel: semel.revoke_api_key(key_id)))
    (print_json if as_json else print_pairs)(shown)
