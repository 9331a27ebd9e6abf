"""API keys on the command line."""

import pytest

from tests.cli.conftest import Run


@pytest.mark.usefixtures("here")
def test_a_key_is_made_listed_and_revoked(run: Run) -> None:
    """It is shown once, and nothing of it in the list."""
    made = run("key", "create", "shop", "--scope", "users:read", "--scope", "users:write", "--days", "1", "--json").json
    assert made["token"].startswith(f"semel_{made['id']}_")
    assert (made["scopes"], made["created_by"]) == (["users:read", "users:write"], "cli")
    listed = run("key", "list", "--json")
    assert [one["id"] for one in listed.json["keys"]] == [made["id"]]
    assert made["token"] not in listed.out + run("key", "list").out
    revoked = run("key", "revoke", made["id"], "--json")
    assert (revoked.code, revoked.json["revoked_at"] is not None) == (0, True)
    assert run("key", "revoke", "none").code == 1


@pytest.mark.usefixtures("here")
def test_a_wrong_key_is_refused(run: Run) -> None:
    """A scope that there is not, or none; no time at all."""
    assert run("key", "list").out == "There are no API keys.\n"
    for wrong in (["--scope", "everything"], [], ["--scope", "users:read", "--days", "0"]):
        assert run("key", "create", "shop", *wrong).code == 2
