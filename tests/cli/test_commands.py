"""What each command prints and exits with, on a real database."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from semel import Account, Settings
from semel.cli.exits import MEANINGS, Exit, exit_of
from semel.cli.masking import masked
from semel.cli.opened import ask
from semel.config_names import variable
from semel.errors import SemelError, StoreInconsistent, StoreRejected, StoreUnavailable
from semel.model import Identity, Registration
from semel.ports import Insert
from semel.states import Door, IdentityState, RegistrationState
from semel.stores.sqlite import open_sqlite
from semel.system import SystemIds
from tests.cli.conftest import EMAIL, Run, sign_up
from tests.stores.auth_users import AUTH_USERS
from tests.stores.postgres_parts import connected

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


async def insert(*records: Identity | Registration) -> None:
    """Put records into the store of this directory."""
    store = await open_sqlite("sqlite:///semel.db")
    await store.commit([Insert(record) for record in records], SystemIds().token())
    await store.close()


@pytest.mark.usefixtures("empty")
def test_migrating_is_told_and_may_be_repeated(run: Run) -> None:
    """First from nothing, then there is nothing left to do."""
    first = run("migrate", "--json")
    assert (first.code, first.json["before"]) == (0, None)
    again = run("migrate")
    assert (again.code, again.out) == (0, f"The tables are up to date ({first.json['after']}).\n")


def test_a_key_to_the_providers_table_stays_unless_it_is_to_go(empty: Path, run: Run, postgres_database: str) -> None:
    """Without the setting it is as before, and that is said with the word that takes it away."""
    asyncio.run(make_auth_users(postgres_database))
    here = f"SEMEL_DATABASE_URL={postgres_database}\n"
    told = []
    for more in ("SEMEL_IDENTITY_TABLE=auth.users\nSEMEL_PROVIDER_URL=fake+tcp://127.0.0.1:1\n", "", NOBODY):
        (empty / ".env").write_text(here + more)
        told.append(run("migrate").out.splitlines()[1:])
    follows = "The accounts follow the identities in auth.users"
    assert told == [[f"{follows}."], [f"{follows}, as before: SEMEL_IDENTITY_TABLE=none takes that away."], []]
    assert run("migrate", "--json").json["identity_table"] is None


NOBODY = "SEMEL_IDENTITY_TABLE=none\n"


async def make_auth_users(url: str) -> None:
    """Make the provider's table."""
    async with connected(url) as connection:
        await connection.execute(AUTH_USERS)


@pytest.mark.usefixtures("empty")
def test_an_unmigrated_store_is_refused(run: Run) -> None:
    """By every command that needs it: one line that says what to do."""
    for command in (["user", "list"], ["user", "show", EMAIL], ["removal", "list"], ["upkeep", "--once"], ["serve"]):
        ended = run(*command)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert ended.err.startswith("semel: configuration_invalid: ")
        assert "semel migrate" in ended.err


def test_a_user_is_shown(run: Run, account: Account) -> None:
    """By the email in any spelling; whole, and with no secret."""
    for_people, for_machines = run("user", "show", EMAIL.upper()), run("user", "show", EMAIL, "--json")
    assert (for_people.code, for_machines.code) == (0, 0)
    assert "Ada [bold]" in for_people.out
    shown = for_machines.json
    assert (shown["id"], shown["email"], shown["attributes"]) == (account.id, EMAIL, {})
    assert "argon2" not in for_people.out + for_machines.out


@pytest.mark.usefixtures("here")
def test_nobody_is_shown_as_such(run: Run) -> None:
    """One line on stderr, nothing on stdout, and the code for what is not there."""
    for command in (["user", "show", EMAIL], ["registration", "show", "none"]):
        ended = run(*command)
        assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
        assert ended.err.startswith("semel: not_found: ")


@pytest.mark.usefixtures("here")
def test_wrong_input_is_refused(run: Run) -> None:
    """What is no email names the field."""
    wrong = run("user", "show", "no email")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert wrong.err.startswith("semel: invalid_input: ")
    assert "email: " in wrong.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["user", "show"], "argument 'email'"),
        (["user", "shwo"], "'show'?"),
        (["user", "list", "--limit", "0"], "'--limit'"),
        (["--bogus"], "--bogus"),
        (["registration", "show", "\udcff"], "UTF-8"),
        (["upkeep", "--json"], "--once"),
    ],
    ids=lambda typed: ascii(" ".join(typed)) if isinstance(typed, list) else "",
)
def test_a_wrong_command_line_is_one_line(run: Run, arguments: list[str], says: str) -> None:
    """It says what is wrong, and where to read on."""
    wrong = run(*arguments)
    assert (wrong.code, wrong.out, wrong.err.count("\n")) == (2, "", 1)
    assert wrong.err.startswith("semel: usage: ")
    assert says in wrong.err


def test_the_version_is_told(run: Run) -> None:
    """By the option, and by the module where the command is not on the path."""
    said = f"semel {version('semel')}\n"
    assert run("--version")[:2] == (0, said)
    command = [sys.executable, "-m", "semel", "--version"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == said


@pytest.mark.parametrize("group", [[], ["user"], ["registration"], ["removal"]], ids=" ".join)
def test_no_command_at_all_shows_what_there_is(run: Run, group: list[str]) -> None:
    """Whoever types the name alone wants to know what can come after it."""
    shown = run(*group)
    assert shown.code == 2
    assert "Commands:" in shown.err


def test_users_are_listed_page_by_page(run: Run, account: Account) -> None:
    """The line below a page is the command for the next one."""
    second = asyncio.run(sign_up("grace@gmail.com"))
    page = run("user", "list", "--limit", "1")
    cursor = page.out.rpartition("--cursor '")[2].partition("'")[0]
    rest = run("user", "list", "--cursor", cursor, "--json").json
    assert (page.code, rest["cursor"]) == (0, None)
    assert {account.id in page.out, second.id in page.out} == {True, False}
    assert [one["id"] in page.out for one in rest["accounts"]] == [False]


def test_an_email_is_checked(run: Run, account: Account) -> None:
    """Complete, in any spelling; or not, with what to do and the code for a finding."""
    complete, free = run("check", EMAIL.upper(), "--json"), run("check", "grace@gmail.com")
    assert (complete.code, free.code, free.err) == (0, 1, "")
    shown = complete.json
    assert (shown["state"], shown["account_id"], shown["registration"]) == (
        "complete",
        account.id,
        account.registration,
    )
    assert shown["next"] == "Nothing to do."
    assert "a sign-up will have it" in free.out


def test_a_registration_is_shown(run: Run, account: Account) -> None:
    """By the id that errors and log lines name."""
    shown = run("registration", "show", account.registration, "--json").json
    assert (shown["state"], shown["door"], shown["account_id"]) == ("completed", "signup", account.id)
    assert account.registration in run("registration", "show", account.registration).out


@pytest.mark.usefixtures("here")
def test_removals_are_listed(run: Run) -> None:
    """None, or each with its tries and its next look; no identity that upkeep looks at for another reason."""
    assert run("removal", "list").out == "There are no removals.\n"
    removal = Identity(id="an-identity", state=IdentityState.CONDEMNED, tries=3, due_at=LONG_AGO, look_until=LONG_AGO)
    asyncio.run(insert(removal, Identity(id="somebody's", state=IdentityState.OWNED, due_at=LONG_AGO)))
    (shown,) = run("removal", "list", "--json").json
    assert (shown["id"], shown["tries"], shown["next_look_at"]) == ("an-identity", 3, "2026-01-01T00:00:00Z")
    assert "an-identity" in run("removal", "list").out


@pytest.mark.usefixtures("here")
def test_a_question_does_no_upkeep() -> None:
    """Whatever the settings say: that is for servers, and for the command of that name."""
    assert ask(lambda semel: asyncio.sleep(0, semel.settings.upkeep)) is False


@pytest.mark.usefixtures("here")
def test_upkeep_is_run_once(run: Run) -> None:
    """It does what is due, says how much, and then there is nothing left."""
    old = Registration(
        id="old",
        state=RegistrationState.FAILED,
        door=Door.SIGNUP,
        keyed=False,
        account_id="nobody",
        fingerprint="f",
        created_at=LONG_AGO,
        due_at=LONG_AGO,
    )
    asyncio.run(insert(old))
    assert run("upkeep", "--once", "--json").json["forget_registration"] == 1
    assert "forget_registration" in run("upkeep", "--once").out
    assert run("registration", "show", "old").code == 1


def test_the_settings_are_shown_without_secrets(run: Run, here: Path) -> None:
    """Every one of them, as in force here."""
    key = "a secret key of more than thirty-two letters"
    (here / ".env").write_text(f"SEMEL_SECRET_KEY={key}\nSEMEL_LEASE_SECONDS=44\nSEMEL_DATABASE_URL=memory:\n")
    for_machines, for_people = run("config", "--json"), run("config")
    assert list(for_machines.json) == [variable(name) for name in Settings.model_fields]
    assert for_machines.json["SEMEL_LEASE_SECONDS"] == 44
    assert for_machines.json["SEMEL_SECRET_KEY"] == "***"
    assert key not in for_machines.out + for_people.out


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////var/semel.db", "sqlite:////var/semel.db"),
        ("sqlite:///semel.db", "sqlite:///semel.db"),
        ("embedded:", "embedded:"),
        ("postgresql://db/app", "postgresql://db/app"),
        ("postgresql://me:hush@db:5432/app?pool_size=3", "postgresql://me:***@db:5432/app?pool_size=3"),
        ("postgresql://me@a:1,b:2/app", "postgresql://me@a:1,b:2/app"),
        ("postgresql://me:hush@a,[::1]:2/app", "postgresql://me:***@a,[::1]:2/app"),
        ("postgresql:///app?host=a,b&port=7&password=hush", "postgresql:///app?host=a%2Cb&port=7&password=***"),
        ("postgresql://me:hu,sh/app", "postgresql:***"),
        ("postgresql://db/app?user=me&password=hush&schema=s", "postgresql://db/app?user=***&password=***&schema=s"),
        ("postgresql://me:hu/sh@db/app", "postgresql:***"),
        ("postgresql://me:hu?sh@db/app", "postgresql:***"),
        ("postgresql://me:hu#sh@db/app", "postgresql:***"),
        ("postgresql://me:hu@sh@db/app", "postgresql:***"),
        ("postgresql://me:hu/sh", "postgresql:***"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    """Also one whose password was not encoded as it must be: then hardly anything is shown."""
    assert masked(url) == shown


def test_a_wrong_setting_stops_every_command(run: Run, here: Path) -> None:
    """With one line, before anything is done."""
    (here / ".env").write_text("SEMEL_LEASE_SECONDS=hush\n")
    for command in (["migrate"], ["serve"], ["config"], ["user", "list"]):
        ended = run(*command)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert "SEMEL_LEASE_SECONDS" in ended.err
        assert "hush" not in ended.err


def test_a_store_that_is_down_is_told_apart(run: Run, here: Path) -> None:
    """By its exit code: it is worth another try."""
    (here / ".env").write_text("SEMEL_DATABASE_URL=postgresql://me:hush@127.0.0.1:1/app\n")
    ended = run("user", "list")
    assert (ended.code, ended.err.count("\n")) == (3, 1)
    assert ended.err.startswith("semel: store_unavailable: ")
    assert "hush" not in ended.err


@pytest.mark.parametrize("command", [["config"], ["migrate"], ["serve"], ["user", "list"]], ids=" ".join)
def test_a_url_of_no_store_stops_every_command(run: Run, here: Path, command: list[str]) -> None:
    """Also those that never open it."""
    (here / ".env").write_text("SEMEL_DATABASE_URL=foo\n")
    ended = run(*command)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "SEMEL_DATABASE_URL" in ended.err


def test_a_store_that_refuses_is_not_worth_another_try(run: Run, here: Path) -> None:
    """A table that is gone comes back by no trying."""
    with closing(sqlite3.connect(here / "semel.db")) as other:
        other.execute("DROP TABLE semel_accounts")
    ended = run("user", "list")
    assert (ended.code, ended.err.count("\n")) == (4, 1)
    assert ended.err.startswith("semel: store_rejected: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreInconsistent(), Exit.REFUSED), (StoreRejected(), Exit.REFUSED), (StoreUnavailable(), Exit.UNAVAILABLE)],
    ids=lambda given: given.code if isinstance(given, SemelError) else "",
)
def test_what_stays_and_what_passes_are_told_apart(error: SemelError, code: Exit) -> None:
    """Over HTTP all of them are 503."""
    assert exit_of(error) is code


def test_the_help_lists_commands_and_exit_codes(run: Run) -> None:
    """All of them."""
    text = " ".join(run("--help").out.split())
    for command in ("serve", "migrate", "upkeep", "config", "user", "registration", "removal", "explore"):
        assert f" {command} " in text
    for code, meaning in MEANINGS.items():
        assert f"{code} {meaning}" in text
