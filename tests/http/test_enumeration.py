"""What a stranger learns of who has an account: the same is done where an email is new and where it is taken."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from httpx import AsyncClient, Response
from prometheus_client.parser import text_string_to_metric_families

from semel import Semel
from semel.http import create_app
from semel.model import Account, Link, OutboxEvent, Secret
from semel.states import LinkPurpose
from semel.testing import VirtualClock
from semel.testing.invariants import records_of
from tests.http.conftest import running, settings

_EMAIL, _OTHER, _PASSWORD, _NEW = "ada@example.com", "eve@example.com", "StrongPass123$", "Another pass 456"
_SIGN_UP = "/api/auth/signup"
_LEVELS = pytest.mark.parametrize("level", ["masked", "strict"])
_MAIL = {
    "smtp_url": "smtp://localhost:2525",
    "mail_from": "noreply@example.org",
    "public_url": "https://app.example.com",
}


@dataclass
class Stranger:
    """Somebody who wants to know whether an email has an account, and writes down all that they are told."""

    semel: Semel
    clock: VirtualClock
    client: AsyncClient
    notes: list[Any] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=dict)

    async def sign_up(self, key: str | None = None, **changes: str) -> Response:
        headers = {} if key is None else {"Idempotency-Key": f"the key of a stranger {key}"}
        return await self.ask(_SIGN_UP, {"email": _EMAIL, "password": _PASSWORD, **changes}, headers)

    async def ask(self, path: str, body: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Response:
        answer = await self.client.post(path, json=body, headers=headers)
        self.notes.append(self._told(answer))
        return answer

    def _told(self, answer: Response) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Return all of an answer; of a token only whether it came before, and as which."""
        body = {name: value for name, value in answer.json().items() if name != "request_id"}
        if "sign_up_token" in body:
            token = body["sign_up_token"]
            body["sign_up_token"] = (len(token), self.tokens.setdefault(token, len(self.tokens)))
        return answer.status_code, body, {n: v for n, v in answer.headers.items() if n != "x-request-id"}

    async def mails(self) -> Counter[tuple[str, str | None]]:
        """Count the mails that are to go, by kind and by whose account."""
        records = await records_of(self.semel.parts.engine.store)
        owners = {one.id: one.email for one in records if isinstance(one, Account)}
        told = [one for one in records if isinstance(one, OutboxEvent) and one.is_mail]
        return Counter((one.kind, owners.get(one.account_id)) for one in told)

    async def verification(self) -> str:
        records = await records_of(self.semel.parts.engine.store)
        (link,) = [one for one in records if isinstance(one, Link) and one.purpose is LinkPurpose.VERIFY]
        return self.semel.parts.links.token_of(link).reveal()

    def hashes(self) -> float:
        """Return how often a password was hashed or compared."""
        families = text_string_to_metric_families(self.semel.metrics.text().decode())
        (found,) = [one for one in families if one.name == "semel_provider_seconds"]
        return sum(one.value for one in found.samples if one.name.endswith("_count"))


@asynccontextmanager
async def stranger(level: str, *, taken: bool, **changes: Any) -> AsyncIterator[Stranger]:  # noqa: ANN401 - settings
    given = settings(enumeration=level, email_verification=True, upkeep=False, **{**_MAIL, **changes})
    clock = VirtualClock(flowing=False)
    semel = Semel(given, clock=clock)
    async with running(create_app(given, semel=semel)) as client:
        await semel.register(email="third@example.com", password=_PASSWORD, username="taken", proved=True)
        if taken:
            await semel.register(email=_EMAIL, password="the owner's password", username="owner", proved=True)
        clock.advance(3600)
        yield Stranger(semel, clock, client)


async def tries_everything(one: Stranger) -> None:
    """Try whatever may tell the two apart, without reading the email's mail."""
    for _ in range(2):
        await one.sign_up("A")
    await one.sign_up("A", name="Another")
    await one.sign_up("A", password=_NEW)
    await one.sign_up("A", username="taken")
    await one.sign_up("A", username="nobody")
    await one.sign_up("A", email="ADA@Example.com")
    await one.sign_up("A", email=_OTHER)
    await one.sign_up("B", name="Ada")
    for _ in range(3):
        await one.sign_up()
    await one.sign_up(password="short")
    for password in (_PASSWORD, _NEW):
        person = {"email": _EMAIL, "password": password}
        await one.ask("/api/auth/login", person)
        await one.ask("/api/auth/password", {**person, "new_password": _NEW})
        await one.ask("/api/auth/email", {**person, "new_email": _OTHER})
    for path in ("/api/auth/recover", "/api/auth/resend"):
        await one.ask(path, {"email": _EMAIL})
    one.clock.advance(100 * 86_400)
    await one.sign_up("A")


@_LEVELS
async def test_nothing_tells_a_new_email_from_a_taken_one(level: str) -> None:
    """Not status, body, headers or which tokens are the same; nor the mail of another email under the same key."""
    told, mails = [], []
    for taken in (False, True):
        async with stranger(level, taken=taken, rate_limits="memory", rate_limit_sign_up_by_address="99/minute") as one:
            await tries_everything(one)
            told.append(one.notes)
            mails.append({kind: number for kind, number in (await one.mails()).items() if kind[1] == _OTHER})
    assert told[0] == told[1]
    assert [note[0] for note in told[0][:5]] == [202, 202, 202, 202, 409]
    assert [fault["field"] for fault in told[0][4][1]["errors"]] == ["username"]
    assert mails[0] == mails[1] == {("mail.verify_email", _OTHER): 1}
    remaining = [note[2]["ratelimit"] for note in told[0][:3]]
    assert len(set(remaining)) == 3  # a replay counts as the attempt that a decoy's would be


@_LEVELS
async def test_a_replay_is_the_same_answer(level: str) -> None:
    """Under a key the token is the same, whatever became of it; without one there is no telling two apart."""
    for taken in (False, True):
        async with stranger(level, taken=taken) as one:
            loose = [(await one.sign_up()).json()["sign_up_token"] for _ in range(3)]
            keyed = [(await one.sign_up("A", **more)).json() for more in ({}, {}, {"name": "B"}, {"password": _NEW})]
            assert len({each["sign_up_token"] for each in keyed}) == 1
            assert len({*loose, keyed[0]["sign_up_token"]}) == 4


@_LEVELS
async def test_who_has_no_attempt_left_is_not_told_of_a_replay(level: str) -> None:
    """An answered key of a new email would be let through; one of a decoy has no answer that the store knows."""
    for taken in (False, True):
        limits = {"rate_limits": "memory", "rate_limit_sign_up_by_address": "2/minute"}
        async with stranger(level, taken=taken, **limits) as one:
            assert [(await one.sign_up("A")).status_code for _ in range(4)] == [202, 202, 429, 429]


async def test_the_owner_is_told_by_mail() -> None:
    """Once an hour at most; the owner's account stays as it was, and nobody else is told."""
    async with stranger("masked", taken=True) as one:
        before = (await one.semel.account_by_email(_EMAIL)).updated_at
        for _ in range(3):
            await one.sign_up()
        assert await one.mails() == {("mail.sign_up_again", _EMAIL): 1}
        one.clock.advance(3600)
        await one.sign_up("A")
        assert await one.mails() == {("mail.sign_up_again", _EMAIL): 2}
        assert (await one.semel.account_by_email(_EMAIL)).updated_at == before


async def test_the_session_that_signed_up_keeps_its_password() -> None:
    """The token of a masked answer does what that of an open one does; one of a decoy does nothing."""
    async with stranger("masked", taken=False) as one:
        token = (await one.sign_up("A")).json()["sign_up_token"]
        loose = (await one.sign_up()).json()["sign_up_token"]
        path = f"/api/links/{await one.verification()}"
        assert (await one.client.post(path, json={"sign_up_token": loose})).status_code == 422
        opened = await one.client.post(path, json={"sign_up_token": token})
        assert opened.status_code == 200
        signed_in = await one.client.post("/api/auth/login", json={"email": _EMAIL, "password": _PASSWORD})
        assert signed_in.status_code == 200


@_LEVELS
async def test_a_taken_username_is_told_alone(level: str) -> None:
    """The same whether the email is new or taken, with a key or without, also again."""
    for taken in (False, True):
        async with stranger(level, taken=taken) as one:
            for key in ("A", "A", None):
                told = await one.sign_up(key, username="Taken")
                assert (told.status_code, told.json()["code"]) == (409, "user_already_exists")
                assert [fault["field"] for fault in told.json()["errors"]] == ["username"]


async def test_open_says_what_it_is() -> None:
    """409 for a taken email, 201 for a new one, with the account."""
    async with stranger("open", taken=True) as one:
        taken = await one.sign_up()
        assert [fault["field"] for fault in taken.json()["errors"]] == ["email"]
        assert taken.status_code == 409
        new = await one.sign_up(email=_OTHER)
        assert (new.status_code, new.json()["account"]["email"]) == (201, _OTHER)
        assert not await one.mails() - Counter({("mail.verify_email", _OTHER): 1})


async def test_strict_hashes_always_and_as_often() -> None:
    """Once for each sign-up that is answered 202: new, taken, replayed, with another payload, password or none."""
    sent: list[tuple[str | None, dict[str, str]]] = [
        ("A", {}),
        ("A", {}),
        ("A", {"name": "Another"}),
        ("A", {"password": _NEW}),
        ("B", {}),
        (None, {}),
        (None, {}),
    ]
    for taken in (False, True):
        async with stranger("strict", taken=taken) as one:
            counts = []
            for key, changes in sent:
                before = one.hashes()
                assert (await one.sign_up(key, **changes)).status_code == 202
                counts.append(one.hashes() - before)
            assert counts == [1] * len(sent)


async def test_strict_hashes_under_the_key_of_an_account_that_is_gone() -> None:
    """As often as under any other."""
    async with stranger("strict", taken=False) as one:
        token = Secret((await one.sign_up("A")).json()["sign_up_token"])
        account = await one.semel.open_link(await one.verification(), sign_up_token=token)
        await one.semel.delete_account(account.id)
        before = one.hashes()
        assert (await one.sign_up("A")).json()["sign_up_token"] == token.reveal()
        assert one.hashes() - before == 1


async def test_masked_spares_the_hash() -> None:
    """Its time may tell; so the page says."""
    async with stranger("masked", taken=True) as one:
        before = one.hashes()
        await one.sign_up()
        assert one.hashes() == before
