"""Commands that show what is in the store."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
import typer

from semel.checking import EmailState
from semel.cli.exits import Exit
from semel.cli.opened import ask
from semel.cli.output import AsJson, print_json, print_lines, print_pairs, print_table
from semel.face import AccountPage, Semel
from semel.model import Account, Identity, Registration

__all__ = ["account_shown", "check", "print_account", "registration", "removal", "user"]

user = typer.Typer(no_args_is_help=True, help="Accounts.")
registration = typer.Typer(no_args_is_help=True, help="Registrations: what became of each request.")
removal = typer.Typer(no_args_is_help=True, help="Identities that upkeep must still make sure not to exist.")

_LIMIT: Final = 1_000


def account_shown(account: Account) -> dict[str, Any]:
    """Return what commands show of an account."""
    return {
        "id": account.id,
        "email": account.email,
        "username": account.username,
        "full_name": account.full_name,
        "role": account.role,
        "roles": account.roles,
        "is_active": account.is_active,
        "onboarding_completed": account.onboarding_completed,
        "attributes": msgspec.Raw(account.attributes.encode()),
        "created_at": account.created_at,
        "updated_at": account.updated_at,
        "last_sign_in_at": account.last_sign_in_at,
        "epoch": account.epoch,
        "sessions": len(account.sessions),
        "registration": account.registration,
    }


def print_account(account: Account, *, as_json: bool) -> None:
    """Print an account."""
    shown = account_shown(account)
    if as_json:
        print_json(shown)
    else:
        print_pairs(shown | {"attributes": account.attributes})


async def _with_aftermath(semel: Semel, registration_id: str) -> dict[str, Any]:
    found = await semel.registration(registration_id)
    return _registration(found) | msgspec.structs.asdict(await semel.aftermath(found))


def _registration(found: Registration) -> dict[str, Any]:
    return {
        "id": found.id,
        "state": found.state,
        "door": found.door,
        "keyed": found.keyed,
        "account_id": found.account_id,
        "created_at": found.created_at,
        "completed_at": found.completed_at,
        "lease_until": found.lease_until,
        "due_at": found.due_at,
        "holds": [f"{name.kind} {name.value}" for name in found.identifiers],
        "proved": found.proved,
        "failure": found.failure,
    }


def _removal(identity: Identity) -> dict[str, Any]:
    return {
        "id": identity.id,
        "provider_id": identity.provider_id,
        "condemned_at": identity.condemned_at,
        "tries": identity.tries,
        "next_look_at": identity.due_at,
        "look_until": identity.look_until,
    }


@user.command("show")
def user_show(email: Annotated[str, typer.Argument(help="In any spelling.")], *, as_json: AsJson = False) -> None:
    """Show the account that owns an email."""
    print_account(ask(lambda semel: semel.account_by_email(email)), as_json=as_json)


def check(email: Annotated[str, typer.Argument(help="In any spelling.")], *, as_json: AsJson = False) -> None:
    """Say what there is under an email, at the provider too, and what to do. Exits with 1 unless all is well."""
    found = ask(lambda semel: semel.check(email))
    shown = msgspec.structs.asdict(found) | {"next": found.next}
    (print_json if as_json else print_pairs)(shown)
    if found.state is not EmailState.COMPLETE or found.another_email:
        raise typer.Exit(Exit.FINDING)


async def _accounts(semel: Semel, search: str | None, cursor: str | None, limit: int) -> AccountPage:
    return await (semel.accounts(cursor, limit) if search is None else semel.search_accounts(search, cursor, limit))


@user.command("list")
def user_list(
    *,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_LIMIT, help="How many to show.")] = 100,
    search: Annotated[str | None, typer.Option(help="Only those whose email, username or name contains it.")] = None,
    as_json: AsJson = False,
) -> None:
    """List accounts, page by page."""
    page = ask(lambda semel: _accounts(semel, search, cursor, limit))
    if as_json:
        print_json({"accounts": [account_shown(account) for account in page.accounts], "cursor": page.cursor})
        return
    rows = [(one.email, one.username, one.role, one.is_active, one.created_at, one.id) for one in page.accounts]
    print_table(("Email", "Username", "Role", "Active", "Created", "Id"), rows, "There are no accounts.")
    if page.cursor is not None:
        print_lines(f"More: semel user list --cursor '{page.cursor}'")


@registration.command("show")
def registration_show(
    registration_id: Annotated[str, typer.Argument(metavar="ID")], *, as_json: AsJson = False
) -> None:
    """Show what became of a request and, where it failed, of its identity: removed, or its removal is still due."""
    shown = ask(lambda semel: _with_aftermath(semel, registration_id))
    (print_json if as_json else print_pairs)(shown)


@removal.command("list")
def removal_list(*, as_json: AsJson = False) -> None:
    """List them, those first that upkeep looks for next."""
    shown = [_removal(identity) for identity in ask(lambda semel: semel.removals(_LIMIT))]
    if as_json:
        print_json(shown)
        return
    columns = ("Id", "At the provider", "Since", "Tries", "Next look", "Looked for until")
    print_table(columns, [tuple(one.values()) for one in shown], "There are no removals.")
