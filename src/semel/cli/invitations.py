"""Commands about invitations."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from semel.cli.opened import ask
from semel.cli.output import AsJson, print_json, print_lines, print_pairs, print_table
from semel.invitations import Invite, MadeInvitation
from semel.model import Invitation
from semel.states import InvitationState

__all__ = ["invite"]

invite = typer.Typer(no_args_is_help=True, help="Invitations to have an account.")

_LIMIT: Final = 1_000
_DAY: Final = 86_400.0
_Id = Annotated[str, typer.Argument(metavar="ID", help="As the list has it.")]


def _shown(one: Invitation) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state,
        "email": one.email,
        "role": one.role,
        "note": one.note,
        "invited_by": one.invited_by,
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "ended_at": one.ended_at,
        "account_id": one.account_id,
    }


def _made(made: MadeInvitation) -> dict[str, Any]:
    return {"token": made.token.reveal(), **_shown(made.invitation)}


@invite.command()
def create(
    email: Annotated[str, typer.Argument(help="Who is invited.")],
    *,
    role: Annotated[str | None, typer.Option(help="The role that the account will have.")] = None,
    note: Annotated[str | None, typer.Option(help="What the invitation says besides.")] = None,
    days: Annotated[float, typer.Option(help="For how many days it can be accepted.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Invite an email. The token is shown this once."""
    asked = Invite(email=email, role=role, note=note, seconds=days * _DAY, invited_by="cli")
    (print_json if as_json else print_pairs)(_made(ask(lambda semel: semel.invite(asked))))


@invite.command("list")
def listed(
    *,
    state: Annotated[InvitationState | None, typer.Option(help="Only those that stand so.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_LIMIT, help="How many to look at.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List invitations, page by page."""
    page = ask(lambda semel: semel.invitations(cursor, limit, state=state))
    if as_json:
        print_json({"invitations": [_shown(one) for one in page.invitations], "cursor": page.cursor})
        return
    rows = [(one.email, one.state, one.role, one.expires_at, one.id) for one in page.invitations]
    print_table(("Email", "State", "Role", "Until", "Id"), rows, "There are no invitations here.")
    if page.cursor is not None:
        chosen = f" --state {state}" if state is not None else ""
        print_lines(f"More: semel invite list{chosen} --cursor '{page.cursor}'")


@invite.command()
def revoke(invitation_id: _Id, *, as_json: AsJson = False) -> None:
    """Take an invitation back."""
    (print_json if as_json else print_pairs)(_shown(ask(lambda semel: semel.revoke_invitation(invitation_id))))


@invite.command()
def resend(invitation_id: _Id, *, as_json: AsJson = False) -> None:
    """Send an invitation again, with a new token and for as long again; tokens of before are dead."""
    (print_json if as_json else print_pairs)(_made(ask(lambda semel: semel.resend_invitation(invitation_id))))
