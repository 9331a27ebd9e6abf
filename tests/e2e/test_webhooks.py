"""Two server processes on PostgreSQL that deliver one outbox to a receiver of both; and one that dies on the way."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import msgspec
import pytest
from standardwebhooks.webhooks import Webhook
from typing_extensions import override

from semel.model import OutboxEvent
from semel.states import EventState
from semel.testing.invariants import records_of
from tests.e2e.killing import open_store
from tests.e2e.rows import Rows
from tests.e2e.site import SIGN_UP, Site
from tests.servers import Server, Servers

PEOPLE = 24
PATIENCE = 60.0
SECRET = "whsec_" + "b3V0Ym94" * 5


class Receiver:
    """Keeps what comes, verified; ``first`` happens before the first request is answered."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str]] = []
        self.first: Callable[[], object] = lambda: None
        self._changed = threading.Condition()
        self.port = 0

    def take(self, headers: Mapping[str, str], body: bytes) -> None:
        Webhook(SECRET).verify(body, dict(headers))
        with self._changed:
            self.came.append((headers["webhook-id"], msgspec.json.decode(body)["data"]["account_id"]))
            if len(self.came) == 1:
                self.first()
            self._changed.notify_all()

    def wait(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, PATIENCE), self.came

    def settings(self) -> dict[str, str]:
        return {
            "SEMEL_WEBHOOKS": f"shared=http://127.0.0.1:{self.port}/hooks",
            "SEMEL_WEBHOOK_SECRETS": f"shared={SECRET}",
            "SEMEL_WEBHOOK_ALLOW_PRIVATE": "true",
            "SEMEL_WEBHOOK_TIMEOUT_SECONDS": "2",
            "SEMEL_SKEW_SECONDS": "0.1",
            "SEMEL_UPKEEP_INTERVAL_SECONDS": "0.2",
        }


@pytest.fixture
def receiver(servers: Servers) -> Iterator[Receiver]:
    servers.hide(SECRET)
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.take({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(204)
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def two(
    servers: Servers, url: str, settings: Mapping[str, str], **of_the_second: str
) -> Iterator[tuple[Server, Server]]:
    servers.migrate(url)
    with servers.starting(url, **settings) as one, servers.starting(url, **settings, **of_the_second) as other:
        one.wait("/readyz")
        other.wait("/readyz")
        yield one, other


def sign_up(site: Site, server: Server) -> str:
    answer = httpx.post(server.url + SIGN_UP, json=site.person())
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return str(answer.json()["user_id"])


async def lease_over(url: str) -> None:
    """Let what one who died had taken be due: its lease's end comes at once. When it comes is shown in virtual time."""
    rows = Rows(url)
    await rows.select(f"UPDATE {rows.table('events')} SET due_at = now()")  # noqa: S608 - the test's own words


async def outbox(url: str) -> list[OutboxEvent]:
    async with open_store(url) as store:
        return [one for one in await records_of(store) if isinstance(one, OutboxEvent)]


async def test_two_servers_deliver_each_event_once(
    servers: Servers, postgres_database: str, receiver: Receiver
) -> None:
    """Both look at the same events all the time; each account is told of by one attempt of one of them."""
    with two(servers, postgres_database, receiver.settings()) as (one, other):
        site = Site(servers, postgres_database, one, other)
        with ThreadPoolExecutor(8) as crowd:
            accounts = list(crowd.map(lambda n: sign_up(site, (one, other)[n % 2]), range(PEOPLE)))
        receiver.wait(lambda: len(receiver.came) >= PEOPLE)
    assert Counter(account for _, account in receiver.came) == Counter(accounts)
    assert {event.state for event in await outbox(postgres_database)} == {EventState.DELIVERED}


async def test_killed_between_sending_and_noting_it(
    servers: Servers, postgres_database: str, receiver: Receiver
) -> None:
    """The receiver has the event, nobody knows that it has: the other server sends it again, as the same delivery."""
    quiet = {"SEMEL_UPKEEP": "false"}
    with two(servers, postgres_database, receiver.settings(), **quiet) as (one, other):
        receiver.first = one.kill
        account = sign_up(Site(servers, postgres_database, one, other), other)
        receiver.wait(lambda: bool(receiver.came))
        (event,) = await outbox(postgres_database)
        assert (event.state, event.attempts) == (EventState.WAITING, 1)
        await lease_over(postgres_database)
        with servers.running(postgres_database, **receiver.settings()):
            receiver.wait(lambda: len(receiver.came) > 1)
    first, second = receiver.came
    assert first == second == (event.delivery_id, account)
    (event,) = await outbox(postgres_database)
    assert (event.state, event.attempts) == (EventState.DELIVERED, 2)
