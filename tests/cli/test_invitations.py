"""Invitations on the command line."""

import asyncio

import pytest

from semel import Account, Semel, Settings
from tests.cli.conftest import EMAIL, PASSWORD, Run


def accepted(token: str) -> Account:
    async def accept() -> Account:
        async with Semel(Settings(upkeep=False)) as semel:
            return (await semel.accept_invitation(token, password=PASSWORD)).account

    return asyncio.run(accept())


@pytest.mark.usefixtures("here")
def test_an_invitation_is_made_sent_again_and_accepted(run: Run) -> None:
    """With the newest token; then it is listed as accepted, and cannot be taken back."""
    made = run("invite", "create", EMAIL, "--role", "Editor", "--note", "Welcome!", "--json").json
    again = run("invite", "resend", made["id"], "--json").json
    assert again["token"] != made["token"]
    account = accepted(again["token"])
    assert (account.email, account.role) == (EMAIL, "Editor")
    (listed,) = run("invite", "list", "--state", "accepted", "--json").json["invitations"]
    assert (listed["id"], listed["account_id"]) == (made["id"], account.id)
    refused = run("invite", "revoke", made["id"])
    assert (refused.code, refused.err.startswith("semel: invitation_used: ")) == (4, True)


@pytest.mark.usefixtures("here")
def test_an_invitation_is_taken_back(run: Run) -> None:
    """And the email can be invited again, not before."""
    made = run("invite", "create", EMAIL, "--json").json
    assert run("invite", "create", EMAIL).err.startswith("semel: already_invited: ")
    assert run("invite", "revoke", made["id"], "--json").json["state"] == "revoked"
    assert run("invite", "create", EMAIL).code == 0
    assert EMAIL in run("invite", "list").out
    assert run("invite", "list", "--state", "expired").out == "There are no invitations here.\n"
    assert run("invite", "create", EMAIL, "--days", "0").code == 2
