"""Mails that arrive, and the links in them: over a real mail server, two server processes and PostgreSQL."""

import asyncio
import email
import email.policy
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import httpx
import pytest

from semel import Scope, Semel, Settings
from semel.model import Account, Identifier, Identity
from semel.testing.invariants import Snapshot, at_rest
from tests.cli.test_mail import relaying
from tests.e2e.crowd import Crowd
from tests.e2e.killing import open_store
from tests.e2e.snapshot import take
from tests.mailers.relay import Relay
from tests.servers import Server, Servers
from tests.services import PostgresServer

_PUBLIC = "https://app.example.com"
_PATIENCE = 60.0
_CROWD = 50


@dataclass
class Post:
    """Two servers whose mail arrives here."""

    servers: Servers
    url: str
    both: tuple[Server, Server]
    relay: Relay
    read: set[str] = field(default_factory=set)
    """The ids of mails that a test has had."""

    def address(self) -> str:
        return f"{uuid4().hex}@example.com"

    async def mail(self, to: str, subject: str) -> EmailMessage:
        """Return the next mail to somebody with these words in its subject; one that comes twice is one."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                for raw in tuple(self.relay.taken):
                    found = email.message_from_bytes(raw, policy=email.policy.default)
                    new = str(found["Message-ID"]) not in self.read
                    if new and found["To"] == to and subject in str(found["Subject"]):
                        self.read.add(str(found["Message-ID"]))
                        return found
                await asyncio.sleep(0.05)

    async def link(self, to: str, subject: str) -> str:
        """Return the path of the link in the next such mail; no server may ever print its token."""
        found = re.search(rf"{re.escape(_PUBLIC)}(/\S+)", text_of(await self.mail(to, subject)))
        assert found is not None
        self.servers.hide(found[1].rpartition("/")[2])
        return found[1]

    async def ask(self, method: str, path: str, json: Any = None, **more: Any) -> httpx.Response:  # noqa: ANN401
        """Ask either server in turn."""
        self.both = (self.both[1], self.both[0])
        async with httpx.AsyncClient(base_url=self.both[0].url, timeout=_PATIENCE) as client:
            return await client.request(method, path, json=json, **more)

    async def sign_up(self, to: str) -> tuple[str, dict[str, Any]]:
        """Sign somebody up; return the password, and what was answered."""
        password = self.servers.secret()
        answer = await self.ask("POST", "/api/auth/signup", {"email": to, "password": password})
        assert answer.status_code == 201, answer.text
        self.servers.hide(answer.json()["sign_up_token"])
        return password, answer.json()

    async def proved(self, to: str) -> str:
        """Sign somebody up and prove the email; return the password."""
        password, made = await self.sign_up(to)
        path = await self.link(to, "verify your email")
        opened = await self.ask("POST", f"/api{path}", {"sign_up_token": made["sign_up_token"]})
        assert opened.status_code == 200, opened.text
        return password

    async def signs_in(self, to: str, password: str) -> int:
        return (await self.ask("POST", "/api/auth/login", {"email": to, "password": password})).status_code

    async def look(self) -> Snapshot:
        async with open_store(self.url) as store:
            return await take(store, None)


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


@pytest.fixture(scope="module")
def post(servers: Servers, postgres: PostgresServer) -> Iterator[Post]:
    relay = Relay(takes=0)
    with postgres.database() as url, relaying(relay):
        servers.migrate(url)
        settings = {
            "SEMEL_EMAIL_VERIFICATION": "true",
            "SEMEL_SMTP_URL": f"smtp://127.0.0.1:{relay.port}",
            "SEMEL_MAIL_FROM": "Example <noreply@example.org>",
            "SEMEL_PUBLIC_URL": _PUBLIC,
            "SEMEL_UPKEEP_INTERVAL_SECONDS": "0.2",
        }
        with servers.starting(url, **settings) as one, servers.starting(url, **settings) as other:
            one.wait("/readyz")
            other.wait("/readyz")
            yield Post(servers, url, (one, other), relay)


async def test_from_a_sign_up_to_a_sign_in(post: Post) -> None:
    """By the mail's page, as a browser without scripts uses it; looking at it did nothing."""
    to = post.address()
    password, _ = await post.sign_up(to)
    refused = await post.ask("POST", "/api/auth/login", {"email": to, "password": password})
    assert (refused.status_code, refused.json()["detail"]) == (403, "Please verify your email before logging in")
    path, new = await post.link(to, "verify your email"), post.servers.secret()
    assert re.fullmatch(r"/links/[\w.-]+", path)
    for _ in range(2):
        shown = await post.ask("GET", path)
        assert (shown.status_code, to in shown.text) == (200, True)
    assert await post.signs_in(to, password) == 403
    assert (await post.ask("POST", path, data={"email": to, "password": new})).status_code == 200
    assert (await post.signs_in(to, new), await post.signs_in(to, password)) == (200, 401)
    assert (await post.ask("GET", path)).status_code == 409


async def test_fifty_open_one_link_at_once(post: Post) -> None:
    """Over both servers, with fifty passwords: one sets its own, all others are told that it is used."""
    to = post.address()
    await post.sign_up(to)
    path = await post.link(to, "verify your email")
    bodies = [{"password": post.servers.secret()} for _ in range(_CROWD)]
    async with Crowd(post.both, _CROWD) as crowd:
        answers = await crowd.send("POST", f"/api{path}", bodies, [{}] * _CROWD)
    assert Counter((one.status_code, one.json().get("code")) for one in answers) == {
        (200, None): 1,
        (409, "link_used"): _CROWD - 1,
    }
    won = next(number for number, answer in enumerate(answers) if answer.status_code == 200)
    assert await post.signs_in(to, bodies[won]["password"]) == 200
    assert await post.signs_in(to, bodies[won - 1]["password"]) == 401


async def test_a_recovery(post: Post) -> None:
    """Asked for twice, the newest mail's link is good; a mail tells that the password is another."""
    to = post.address()
    password, new = await post.proved(to), post.servers.secret()
    assert (await post.ask("POST", "/api/auth/recover", {"email": to})).status_code == 202
    first = await post.link(to, "Choose a new password")
    assert (await post.ask("POST", "/api/auth/recover", {"email": to})).status_code == 202
    path = await post.link(to, "Choose a new password")
    assert (await post.ask("POST", f"/api{first}", {"password": new})).status_code == 404
    assert (await post.ask("POST", f"/api{path}", {"password": new})).status_code == 200
    assert (await post.signs_in(to, new), await post.signs_in(to, password)) == (200, 401)
    assert await post.mail(to, "password")
    nobody = post.address()
    assert (await post.ask("POST", "/api/auth/recover", {"email": nobody})).status_code == 202


async def test_a_change_of_email(post: Post) -> None:
    """The new one is proved by its mail; the old one is told, and free for somebody else."""
    old, new = post.address(), post.address()
    password = await post.proved(old)
    body = {"email": old, "password": password, "new_email": new}
    assert (await post.ask("POST", "/api/auth/email", body)).status_code == 202
    path = await post.link(new, "confirm your new email")
    assert (await post.ask("POST", path, data={"email": new})).status_code == 200
    assert (await post.signs_in(new, password), await post.signs_in(old, password)) == (200, 401)
    assert _PUBLIC not in text_of(await post.mail(old, ""))
    await post.proved(old)


async def test_an_account_without_a_password_is_sent_its_link(post: Post) -> None:
    """And an invitation leads to its page likewise."""
    async with Semel(Settings(_env_file=None, database_url=post.url, upkeep=False)) as semel:
        key = post.servers.hide((await semel.create_api_key("of the tests", tuple(Scope))).token.reveal())
    to, invited, password = post.address(), post.address(), post.servers.secret()
    head = {"Authorization": f"Bearer {key}"}
    assert (await post.ask("POST", "/api/users", {"email": to}, headers=head)).status_code == 201
    path = await post.link(to, "Set your password")
    assert (await post.ask("POST", path, data={"password": password})).status_code == 200
    assert await post.signs_in(to, password) == 200
    made = await post.ask("POST", "/api/invitations", {"email": invited}, headers=head)
    post.servers.hide(made.json()["token"])
    path = await post.link(invited, "invited")
    assert (await post.ask("GET", path)).status_code == 200
    assert (await post.ask("POST", path, data={"password": password})).status_code == 200
    assert await post.signs_in(invited, password) == 200


async def test_an_owner_is_told_of_another_sign_up(post: Post) -> None:
    """By mail, which holds no link."""
    to = post.address()
    await post.proved(to)
    async with Semel(Settings(_env_file=None, database_url=post.url, upkeep=False)) as semel:
        await semel.tell_owner(to)
    assert _PUBLIC not in text_of(await post.mail(to, "You have an account"))


async def test_at_rest_all_is_whole(post: Post) -> None:
    """Each account has one proved identifier and one identity."""
    await post.proved(post.address())
    seen = await post.look()
    assert at_rest(seen) == []
    assert len(seen.all(Account)) == len(seen.all(Identifier)) == len(seen.all(Identity))
    assert all(one.proved for one in seen.all(Identifier))
