"""Webhooks as they arrive at a real server, which also refuses, redirects, hangs, breaks, or is nobody's to reach."""

from __future__ import annotations

import logging
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import trustme
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from semel.couriers.options import WebhookOptions
from semel.couriers.webhooks import Webhooks, body_of
from semel.model import OutboxEvent, Secret
from semel.outgoing import Refused, Sent
from semel.ports import Unknown
from semel.states import EventState
from semel.system import SystemClock
from semel.testing import START, VirtualClock
from tests.couriers.receiver import Receiver, receiving

OLD, NEW = "whsec_" + "b2xk" * 10, "whsec_" + "bmV3" * 10
EVENT = OutboxEvent(
    id="ada/account.created/one/20260101T000000.000000",
    kind="account.created",
    account_id="ada",
    created_at=START,
    state=EventState.WAITING,
)


def options(
    port: int, host: str = "127.0.0.1", *, scheme: str = "http", secrets: str = NEW, **more: object
) -> WebhookOptions:
    given = {"allow_private": True, "timeout": 5.0, **more}
    return WebhookOptions(
        webhooks=Secret(f"billing={scheme}://{host}:{port}/hooks?of=semel"),
        secrets=Secret(f"billing={secrets}"),
        **given,  # type: ignore[arg-type]
    )


async def deliver(made: WebhookOptions, event: OutboxEvent = EVENT, attempt: str = "att_1") -> Sent | Refused | Unknown:
    webhooks = Webhooks(made, SystemClock())
    assert webhooks.endpoints(event) == ("billing",)
    try:
        return await webhooks.deliver(event, "billing", attempt)
    finally:
        await webhooks.close()


async def test_it_arrives_signed_and_tells_no_more_than_ids() -> None:
    """As Standard Webhooks has it: the library of receivers verifies it. The id of the delivery shows nothing."""
    async with receiving(Receiver()) as receiver:
        assert await deliver(options(receiver.port)) == Sent()
    (taken,) = receiver.taken
    assert taken.path == "/hooks?of=semel"
    assert taken.headers["webhook-id"] == EVENT.delivery_id
    assert not {".", "/"} & {*taken.headers["webhook-id"]}
    assert taken.headers["webhook-attempt"] == "att_1"
    assert taken.headers["content-type"] == "application/json"
    Webhook(NEW).verify(taken.body, dict(taken.headers))
    assert msgspec.json.decode(taken.body) == {
        "type": "account.created",
        "timestamp": "2026-01-01T00:00:00.000000Z",
        "data": {"account_id": "ada"},
    }


async def test_no_log_line_shows_the_url(caplog: pytest.LogCaptureFixture) -> None:
    """It may hold what lets somebody in; at no level, and not from a library."""
    caplog.set_level(logging.DEBUG)
    async with receiving(Receiver()) as receiver:
        await deliver(options(receiver.port))
    assert "HTTP Request" in caplog.text
    assert "of=semel" not in caplog.text.replace(repr(receiver.taken), "")
    assert NEW not in caplog.text


async def test_the_bytes_are_the_same_at_every_attempt() -> None:
    """Whatever has happened to the event since."""
    async with receiving(Receiver()) as receiver:
        await deliver(options(receiver.port))
        await deliver(options(receiver.port), EVENT.but(attempts=3, due_at=START + timedelta(1), version=9), "att_2")
    first, second = receiver.taken
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-attempt"] != second.headers["webhook-attempt"]


async def test_while_a_secret_takes_the_place_of_another_both_sign() -> None:
    """A receiver with either verifies; one with a third does not."""
    async with receiving(Receiver()) as receiver:
        await deliver(options(receiver.port, secrets=f"{NEW} {OLD}"))
    (taken,) = receiver.taken
    for secret in (OLD, NEW):
        Webhook(secret).verify(taken.body, dict(taken.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "bm9u" * 10).verify(taken.body, dict(taken.headers))


def answering(status: str, *headers: str) -> Receiver:
    head = "".join(f"{one}\r\n" for one in (f"HTTP/1.1 {status}", *headers, "Content-Length: 0", ""))
    return Receiver(lambda _: head.encode())


@pytest.mark.parametrize(
    ("receiver", "outcome"),
    [
        (answering("204 No Content"), Sent()),
        (answering("410 Gone"), Refused(410)),
        (answering("400 Bad Request"), Unknown("HTTP 400")),
        (answering("500 Internal Server Error"), Unknown("HTTP 500")),
        (answering("429 Too Many Requests", "Retry-After: 120"), Unknown("HTTP 429", retry_after=120)),
        (answering("503 Service Unavailable", "Retry-After: soon"), Unknown("HTTP 503")),
        (answering("503 Busy", "Retry-After: Mon, 01 Jan 99999999999 00:00:00 GMT"), Unknown("HTTP 503")),
        (Receiver(lambda _: None), Unknown("the connection failed: RemoteProtocolError")),
        (Receiver(lambda _: b"what?\r\n\r\n"), Unknown("the connection failed: RemoteProtocolError")),
    ],
)
async def test_what_an_answer_means(receiver: Receiver, outcome: object) -> None:
    """2xx is taken, 410 is refused for good, and everything else says nothing for good."""
    async with receiving(receiver):
        assert await deliver(options(receiver.port)) == outcome


async def test_no_redirect_is_followed() -> None:
    """Not even to a place that would be allowed: only the URL that was given has been judged."""
    async with receiving(Receiver()) as other:
        async with receiving(answering("307 Temporary Redirect", f"Location: http://127.0.0.1:{other.port}/")) as first:
            assert await deliver(options(first.port)) == Unknown("HTTP 307")
        assert not other.taken


async def test_one_that_hangs_is_given_up() -> None:
    """In its time; it may have taken the event."""
    receiver = Receiver(hangs=True)
    async with receiving(receiver):
        assert await deliver(options(receiver.port, timeout=0.5)) == Unknown("no answer in time")
    assert receiver.taken


async def test_one_that_hangs_is_left_alone_for_a_while() -> None:
    """So that what is meant for others does not wait for it over and over; then it is asked again."""
    receiver, clock = Receiver(hangs=True), VirtualClock(flowing=False)
    async with receiving(receiver):
        webhooks = Webhooks(options(receiver.port, timeout=0.5), clock)
        assert await webhooks.deliver(EVENT, "billing", "att_1") == Unknown("no answer in time")
        assert await webhooks.deliver(EVENT, "billing", "att_2") == Unknown("it did not answer in time a moment ago")
        assert len(receiver.taken) == 1
        clock.advance(0.6)
        receiver.hangs = False
        assert await webhooks.deliver(EVENT, "billing", "att_3") == Sent()
        await webhooks.close()


async def test_an_endless_body_is_not_read() -> None:
    """The status is all that counts."""
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n" + b"x" * 100_000
    async with receiving(Receiver(lambda _: endless)) as receiver:
        assert await deliver(options(receiver.port)) == Sent()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0", "10.0.0.1"])
async def test_what_is_for_this_network_alone_is_not_reached(host: str) -> None:
    """Whatever the address looks like, and whatever the name leads to."""
    async with receiving(Receiver()) as receiver:
        made = options(receiver.port, host, scheme="https", allow_private=False)
        assert await deliver(made) == Unknown("its address is not public")
    assert not receiver.taken


class Names:
    """Says where names lead, as somebody does who owns a domain; and how often it was asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


async def test_the_address_that_was_judged_is_the_one_connected_to() -> None:
    """Nobody is asked a second time where the name leads, so no other answer can come in between."""
    names = Names("127.0.0.1")
    async with receiving(Receiver()) as receiver:
        webhooks = Webhooks(options(receiver.port, "rebound.invalid"), SystemClock(), names)
        assert await webhooks.deliver(EVENT, "billing", "att_1") == Sent()
        await webhooks.close()
    assert names.asked == ["rebound.invalid"]
    assert receiver.taken[0].headers["host"] == f"rebound.invalid:{receiver.port}"


async def test_of_several_addresses_the_public_ones_count() -> None:
    """And of those the first that somebody answers at: to connect in vain sends nothing."""
    names = Names("10.0.0.1", "127.0.0.1", "fd00::1")
    async with receiving(Receiver()) as receiver:
        made = options(receiver.port, "rebound.invalid", scheme="https", allow_private=False)
        webhooks = Webhooks(made, SystemClock(), names)
        assert await webhooks.deliver(EVENT, "billing", "att_1") == Unknown("its address is not public")
        await webhooks.close()
        for names in (Names("127.0.0.2", "127.0.0.1"), Names("127.0.0.1", "127.0.0.2")):
            both = Webhooks(options(receiver.port, "two.invalid"), SystemClock(), names)
            assert await both.deliver(EVENT, "billing", "att_2") == Sent()
            await both.close()
    assert len(receiver.taken) == 2


async def test_a_name_that_leads_nowhere() -> None:
    """Is no more than that."""
    assert await deliver(options(1, "nowhere.invalid")) == Unknown("its name leads nowhere")


async def test_nobody_listens_there() -> None:
    """Nothing was sent."""
    async with receiving(Receiver()) as receiver:
        pass
    assert await deliver(options(receiver.port)) == Unknown("the connection failed: ConnectError")


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this process trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


def context(authority: trustme.CA, host: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(made)
    return made


async def test_the_certificate_is_of_the_name_and_not_of_the_address(authority: trustme.CA) -> None:
    """The connection goes to an address that was judged; the certificate must be the name's, and ``Host`` says it."""
    async with receiving(Receiver(), context(authority, "localhost")) as receiver:
        assert await deliver(options(receiver.port, "localhost", scheme="https")) == Sent()
        assert receiver.taken[0].headers["host"] == f"localhost:{receiver.port}"
    async with receiving(Receiver(), context(authority, "other.example.com")) as receiver:
        made = options(receiver.port, "localhost", scheme="https")
        assert await deliver(made) == Unknown("its certificate is not trusted, or TLS failed")
        assert not receiver.taken


async def test_a_certificate_of_nobody_is_not_trusted() -> None:
    """Nothing is said to who shows one."""
    async with receiving(Receiver(), context(trustme.CA(), "localhost")) as receiver:
        made = options(receiver.port, "localhost", scheme="https")
        assert await deliver(made) == Unknown("its certificate is not trusted, or TLS failed")
    assert not receiver.taken


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look the name up by itself."""
    async with receiving(Receiver()) as proxy, receiving(Receiver()) as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await deliver(options(receiver.port)) == Sent()
    assert not proxy.taken


def test_a_mail_is_nobodys_webhook() -> None:
    """The outbox has both."""
    webhooks = Webhooks(options(1), SystemClock())
    assert webhooks.endpoints(EVENT.but(kind="mail.invitation")) == ()


def test_the_body_of_an_invitations_event_names_it() -> None:
    """By its id, and nobody else."""
    event = EVENT.but(kind="invitation.created", account_id="", subject="the invitation")
    assert msgspec.json.decode(body_of(event))["data"] == {"account_id": None, "invitation_id": "the invitation"}
