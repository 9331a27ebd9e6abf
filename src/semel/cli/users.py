"""Commands that make, change and end accounts. Whoever may run them reaches the store, and so is an administrator."""

from __future__ import annotations

import getpass
import re
import sys
from typing import Annotated, Any, Final

import msgspec
import typer

from semel.administration import AccountUpdate
from semel.cli.exits import Exit
from semel.cli.opened import ask
from semel.cli.output import AsJson, print_lines
from semel.cli.records import print_account
from semel.errors import NotFound
from semel.face import Semel
from semel.intents import Intent
from semel.model import Account, Secret
from semel.states import Door

__all__ = ["add_commands"]

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_Who = Annotated[str, typer.Argument(metavar="WHO", help="An email in any spelling, or an account's id.")]
_Username = Annotated[str | None, typer.Option(help="A name of one's own.")]
_FullName = Annotated[str | None, typer.Option(help="The full name.")]
_Role = Annotated[str | None, typer.Option(help="The role; it need not be one that a sign-up may ask for.")]
_Attributes = Annotated[str | None, typer.Option(metavar="JSON", help="The application's own fields, as an object.")]


def add_commands(user: typer.Typer) -> None:
    """Add the commands to those of accounts."""
    user.command("create")(_create)
    user.command("update")(_update)
    user.command("delete")(_delete)
    user.command("deactivate")(_deactivate)
    user.command("activate")(_activate)
    user.command("recover")(_recover)


def _create(  # noqa: PLR0913 - the fields of a person
    email: Annotated[str, typer.Argument(help="The email.")],
    *,
    username: _Username = None,
    full_name: _FullName = None,
    role: _Role = None,
    admin: Annotated[bool, typer.Option("--admin", help="Make an administrator.")] = False,
    attributes: _Attributes = None,
    password: Annotated[
        str | None, typer.Option(help="The password. Others on this machine may see it: better let it be asked for.")
    ] = None,
    no_password: Annotated[bool, typer.Option("--no-password", help="Nobody signs in before one is set.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an account; this is also how the first administrator is made. Asks for the password."""
    if password is not None and no_password:
        raise typer.BadParameter("goes without --password", param_hint="--no-password")
    secret = None if no_password else Secret(password if password is not None else _asked_password())
    intent = Intent(
        door=Door.ADMIN,
        email=email,
        username=username,
        full_name=full_name,
        password=secret,
        attributes=_object(attributes),
        scope="cli",
    )

    async def made(semel: Semel) -> Account:
        asked = msgspec.structs.replace(intent, **_roles(semel, role, admin=admin))
        return (await semel.parts.registrar.register(asked)).account

    print_account(ask(made), as_json=as_json)


def _roles(semel: Semel, role: str | None, *, admin: bool) -> dict[str, Any]:
    """Return the fields that say which roles an account will have."""
    if not admin:
        return {"role": role}
    administrators = semel.settings.admin_roles[0]
    return {"role": role or administrators, "roles": tuple(dict.fromkeys(filter(None, (role, administrators))))}


def _asked_password() -> str:
    """Return the password: asked for twice at a terminal, else one line of the standard input."""
    if not sys.stdin.isatty():
        given = sys.stdin.readline().rstrip("\r\n")
    else:
        given = getpass.getpass("Password: ")
        if given != getpass.getpass("The same again: "):
            raise typer.BadParameter("the two are not the same", param_hint="--password")
    if not given:
        raise typer.BadParameter(
            "give one, in a line of the standard input; or say --no-password", param_hint="--password"
        )
    return given


def _object(attributes: str | None) -> dict[str, Any]:
    if attributes is None:
        return {}
    try:
        given: dict[str, Any] = msgspec.json.decode(attributes, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise typer.BadParameter("must be a JSON object", param_hint="--attributes") from None
    return given


def _update(  # noqa: PLR0913 - the fields of a person
    who: _Who,
    *,
    username: _Username = None,
    full_name: _FullName = None,
    role: _Role = None,
    roles: Annotated[
        list[str] | None, typer.Option("--roles", help="One of all its roles; repeat it for each.")
    ] = None,
    attributes: _Attributes = None,
    onboarding_completed: Annotated[
        bool | None, typer.Option(help="Whether the application's first steps are done.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change an account: what is given, and nothing else. An empty text takes a name away."""
    given: dict[str, Any] = {
        "username": username,
        "full_name": full_name,
        "role": role,
        "roles": tuple(roles) if roles else None,
        "attributes": _object(attributes) or None,
        "onboarding_completed": onboarding_completed,
    }
    said: dict[str, Any] = {
        field: None if value == "" else value for field, value in given.items() if value is not None
    }
    if not said:
        raise typer.BadParameter("say what to change", param_hint="WHO")
    print_account(_changed(who, AccountUpdate(**said)), as_json=as_json)


def _changed(who: str, update: AccountUpdate) -> Account:
    async def changed(semel: Semel) -> Account:
        return await semel.update_account((await _found(semel, who)).id, update)

    return ask(changed)


async def _found(semel: Semel, who: str) -> Account:
    return await (semel.account(who) if _UUID.fullmatch(who) else semel.account_by_email(who))


def _deactivate(who: _Who, *, as_json: AsJson = False) -> None:
    """Switch an account off: its sessions end, and nobody signs in, at a remote identity provider too."""
    print_account(_changed(who, AccountUpdate(is_active=False)), as_json=as_json)


def _activate(who: _Who, *, as_json: AsJson = False) -> None:
    """Switch an account on again."""
    print_account(_changed(who, AccountUpdate(is_active=True)), as_json=as_json)


def _recover(who: _Who, *, as_json: AsJson = False) -> None:
    """Send the account's email a link that leads to a new password; who has none yet sets the first by it."""

    async def sent(semel: Semel) -> Account:
        account = await _found(semel, who)
        if account.email is None or not account.lets_in(semel.parts.engine.clock.now()):
            raise NotFound("The account has no email, or lets nobody in")
        await semel.recover(account.email)
        return account

    print_account(ask(sent), as_json=as_json)


def _delete(
    who: _Who, *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether this is meant.")] = False
) -> None:
    """End an account and all that it owns. Asks, unless told --yes."""
    if not yes and not _is_meant(who):
        sys.stderr.write("semel: nothing was deleted\n")
        raise typer.Exit(Exit.REFUSED)

    async def deleted(semel: Semel) -> Account:
        account = await _found(semel, who)
        await semel.delete_account(account.id)
        return account

    print_lines(f"The account {ask(deleted).id} is deleted.")


def _is_meant(who: str) -> bool:
    if not sys.stdin.isatty():
        raise typer.BadParameter("is needed where nobody can be asked", param_hint="--yes")
    try:
        return input(f"Delete the account of {who}, and all that it owns? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False
