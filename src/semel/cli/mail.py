"""Commands about mail: what stays in the local mailbox, and whether the mail server takes any."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from semel.assembly import open_mailer
from semel.cli.exits import Exit
from semel.cli.opened import read_settings
from semel.cli.output import AsJson, print_json, print_lines, print_pairs, print_table
from semel.config import Settings
from semel.config_names import variable
from semel.errors import ConfigurationInvalid, NotFound
from semel.mail import Mail
from semel.mailers.composing import NOT_ALLOWED
from semel.mailers.mailbox import KeptMail, kept_mails
from semel.outgoing import Refused, Sent
from semel.ports import Unknown
from semel.system import SystemClock, SystemIds

__all__ = ["mail"]

mail = typer.Typer(help="Mail: the local mailbox, and a try.", invoke_without_command=True)


@mail.callback()
def listed(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the mails of the local mailbox, the newest first; or do what the command after it says."""
    if context.invoked_subcommand is not None:
        return
    settings = read_settings()
    mails = _kept(settings)
    if as_json:
        print_json([{"id": one.id, "at": one.at, "to": one.to, "subject": one.subject} for one in mails])
        return
    elsewhere = settings.smtp_url is not None
    empty = "Mail goes to the mail server: none is kept here." if elsewhere else "There is no mail."
    print_table(("Written", "To", "Subject", "Id"), [(one.at, one.to, one.subject, one.id) for one in mails], empty)


@mail.command()
def show(
    mail_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="As the list has it.")] = None,
    *,
    latest: Annotated[bool, typer.Option("--latest", help="The newest.")] = False,
    to: Annotated[str | None, typer.Option(metavar="ADDRESS", help="The newest to this address.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show one mail of the local mailbox, with its links."""
    if mail_id is None and to is None and not latest:
        raise typer.BadParameter("name a mail, or say --latest or --to", param_hint="ID")
    found = next((one for one in _kept(read_settings(), to) if mail_id in {None, one.id}), None)
    if found is None:
        raise NotFound("There is no such mail in the local mailbox")
    if as_json:
        print_json({**_head(found), "links": found.links, "text": found.text, "html": found.html})
        return
    print_pairs(_head(found))
    print_lines("", *found.text.splitlines())


@mail.command("test")
def try_out(address: Annotated[str, typer.Argument(help="Who gets it.")]) -> None:
    """Send a mail that says nothing, and say what came of it."""
    settings = read_settings()
    outcome = asyncio.run(_tried(settings, address))
    match outcome:
        case Sent() if settings.smtp_url is None:
            print_lines("The mail is in the local mailbox: semel mail show --latest")
        case Sent():
            print_lines("The mail server has taken the mail.")
        case Refused(code=code):
            print_lines(f"Refused for good ({code}): the address, or the mail. It was not sent.")
            raise typer.Exit(Exit.REFUSED)
        case Unknown(why=why):
            print_lines(f"Not known to be sent: {why}.")
            raise typer.Exit(Exit.UNAVAILABLE)


async def _tried(settings: Settings, address: str) -> Sent | Refused | Unknown:
    product = settings.product_name
    try:
        trial = Mail(
            id=SystemIds().uuid(),
            kind="test",
            to=address.strip(),
            subject=f"A test mail of {product}",
            text=f"If you can read this, {product} can write to you.\n",
        )
    except ValueError:  # an address of several lines
        return NOT_ALLOWED
    mailer = open_mailer(settings, SystemClock())
    try:
        return await mailer.send(trial)
    finally:
        await mailer.close()


def _kept(settings: Settings, to: str | None = None) -> list[KeptMail]:
    try:
        return kept_mails(settings.mail_directory, to)
    except OSError as error:
        raise ConfigurationInvalid(f"{variable('mail_directory')} cannot be read ({error.strerror})") from None


def _head(one: KeptMail) -> dict[str, Any]:
    return {"id": one.id, "at": one.at, "to": one.to, "subject": one.subject}
