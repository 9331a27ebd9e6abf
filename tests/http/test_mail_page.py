"""The page of the local mailbox: there for a person on this machine, and for nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from httpx import ASGITransport, AsyncClient, Response
from typing_extensions import override

from semel.config import Settings
from semel.errors import ConfigurationInvalid
from semel.http import create_app
from semel.mail import Mail
from semel.mailers.mailbox import LocalMailbox
from semel.testing import VirtualClock
from tests.http.conftest import settings
from tests.servers import Servers

HOSTILE = '"><script>alert(1)</script>{{ 1 }}'
LINK = "https://example.org/verify?token=0123&x='y'"
HERE = "http://127.0.0.1:8000"


def letter(number: int = 1, html: str | None = "<p>Hello</p>") -> Mail:
    text = f"{HOSTILE}\n{LINK}\njavascript:alert(1)\n"
    return Mail(id=f"mail-{number}", kind="test", to="ada@example.org", subject=HOSTILE, text=text, html=html)


@pytest.fixture
async def given(tmp_path: Path) -> Settings:
    """Settings of a mailbox with a mail."""
    found = settings(mail_directory=tmp_path / "mail", mail_page=True, cors_origins=("*",))
    await LocalMailbox(found.mail_options(), VirtualClock()).send(letter())
    return found


def client(given: Settings, peer: str = "127.0.0.1", base_url: str = HERE) -> AsyncClient:
    return AsyncClient(transport=ASGITransport(create_app(given), client=(peer, 50_000)), base_url=base_url)


class Read(HTMLParser):
    """The elements of a page, as a browser would make them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


async def test_mails_are_listed_and_shown(given: Settings) -> None:
    """From the list to the mail to its HTML; whatever stands in a mail is text."""
    async with client(given) as browser:
        listed = await browser.get("/mail")
        (to_mail,) = Read(listed.text).all("a")
        shown = await browser.get(str(to_mail["href"]))
        page = Read(shown.text)
        html = await browser.get(str(page.all("iframe")[0]["src"]))
    assert [listed.status_code, shown.status_code, html.status_code] == [200, 200, 200]
    assert not Read(listed.text).all("script")
    assert not page.all("script")
    (link,) = [one for one in page.all("a") if str(one["href"]).startswith("http")]
    assert link == {"href": LINK, "target": "_blank", "rel": "noreferrer noopener"}
    assert all(str(one["href"]).startswith(("/mail", "https:")) for one in page.all("a"))
    assert "<p>Hello</p>" in html.text


async def test_a_mail_is_shut_in(given: Settings) -> None:
    """No script runs, nothing is loaded from elsewhere, no page frames it, and it is of no origin."""
    async with client(given) as browser:
        page, html = await browser.get("/mail/mail-1"), await browser.get("/mail/mail-1/html")
    frame = Read(page.text).all("iframe")[0]
    assert frame["sandbox"] == "allow-popups allow-popups-to-escape-sandbox"
    policies = [_policy(page), _policy(html)]
    for policy in policies:
        assert policy["default-src"] == "'none'"
        assert not {"script-src", "connect-src", "img-src *"} & policy.keys()
        assert (policy["base-uri"], policy["form-action"]) == ("'none'", "'none'")
    assert policies[0]["frame-ancestors"] == "'none'"
    assert policies[1]["frame-ancestors"] == "'self'"
    assert policies[1]["img-src"] == "data:"
    assert "allow-same-origin" not in policies[1]["sandbox"]
    assert "allow-scripts" not in policies[1]["sandbox"]
    for answer in (page, html):
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def _policy(answer: Response) -> dict[str, str]:
    parts = answer.headers["content-security-policy"].split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


@pytest.mark.parametrize("path", ["/mail/none", "/mail/none/html", "/mail/mail-2/html"])
async def test_what_is_not_there(given: Settings, path: str) -> None:
    """Neither a mail, nor the HTML of one that has none."""
    await LocalMailbox(given.mail_options(), VirtualClock()).send(letter(2, html=None))
    async with client(given) as browser:
        assert (await browser.get(path)).status_code == 404
        assert "<iframe" not in (await browser.get("/mail/mail-2")).text


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:9", "[::1]:8000", "[::1]"])
async def test_names_of_this_machine(given: Settings, host: str) -> None:
    """With any port: a container may map it."""
    async with client(given) as browser:
        assert (await browser.get("/mail", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example.org:8000"},
        {"host": "localhost.example.org"},
        {"host": "127.0.0.1.example.org"},
        {"host": "localhost@example.org"},
        {"host": "[::1].example.org"},
        {"host": ""},
        {"x-forwarded-for": "192.0.2.1"},
        {"x-forwarded-host": "tunnel.example.org"},
        {"forwarded": "for=192.0.2.1"},
        {"via": "1.1 proxy"},
        {"origin": "https://app.example.com"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    ],
    ids=repr,
)
async def test_whoever_else_asks_is_told_that_there_is_nothing(given: Settings, headers: dict[str, str]) -> None:
    """A name that leads here, a proxy or a tunnel, a page of another origin: also where CORS lets all of them in."""
    async with client(given) as browser:
        for path in ("/mail", "/mail/mail-1", "/mail/mail-1/html"):
            answer = await browser.get(path, headers=headers)
            assert answer.status_code == 404
            assert "0123" not in answer.text


async def test_two_hosts_are_none(given: Settings) -> None:
    """A proxy and a server could each take another one."""
    async with client(given) as browser:
        answer = await browser.get("/mail", headers=[("host", "localhost"), ("host", "rebound.example.org")])
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("peer", "base_url"), [("192.0.2.1", HERE), ("127.0.0.1", "http://192.0.2.7:8000"), ("::ffff:192.0.2.1", HERE)]
)
async def test_another_machine_is_told_that_there_is_nothing(given: Settings, peer: str, base_url: str) -> None:
    """By its own address, or by that which it asked at: another server may run the application than ``semel serve``."""
    async with client(given, peer, base_url) as browser:
        assert (await browser.get("/mail", headers={"host": "localhost"})).status_code == 404


async def test_a_link_from_another_page_may_lead_here(given: Settings) -> None:
    """A person sees the page then, and nobody else."""
    async with client(given) as browser:
        headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        assert (await browser.get("/mail", headers=headers)).status_code == 200


async def test_only_looking(given: Settings) -> None:
    """Nothing is changed here."""
    async with client(given) as browser:
        assert (await browser.post("/mail")).status_code == 405
        assert "/mail" not in (await browser.get("/openapi.json")).json()["paths"]


async def test_by_default_there_is_no_page(given: Settings) -> None:
    """Whatever the mailbox holds."""
    usual = settings(mail_directory=given.mail_directory)
    async with client(usual) as browser:
        assert (await browser.get("/mail")).status_code == 404
        assert (await browser.get("/mail/mail-1/html")).status_code == 404


@pytest.mark.parametrize(
    "changes",
    [{"host": "0.0.0.0"}, {"smtp_url": "smtp://localhost", "mail_from": "noreply@example.org"}],  # noqa: S104 - refused
)
def test_where_it_must_not_be_the_start_is_refused(changes: dict[str, str]) -> None:
    """By the names of the variables."""
    with pytest.raises(ConfigurationInvalid, match=r"SEMEL_MAIL_PAGE .* SEMEL_HOST, and no SEMEL_SMTP_URL"):
        settings(mail_page=True, **changes)


@pytest.fixture
async def server(servers: Servers, tmp_path: Path) -> AsyncIterator[str]:
    """A real server with the page."""
    url = f"sqlite:///{tmp_path / 'semel.db'}"
    servers.migrate(url)
    directory = str(tmp_path / "mail")
    await LocalMailbox(settings(mail_directory=directory).mail_options(), VirtualClock()).send(letter())
    with servers.running(url, SEMEL_MAIL_DIRECTORY=directory, SEMEL_MAIL_PAGE="true") as server:
        assert f"{server.url}/mail" in server.output()
        yield server.url


async def test_over_a_real_connection(server: str) -> None:
    """It is there by this machine's name; by another name that leads here it is not."""
    async with httpx.AsyncClient() as browser:
        assert (await browser.get(f"{server}/mail")).status_code == 200
        for headers in ({"host": "rebound.example.org"}, {"x-forwarded-for": "127.0.0.1"}):
            assert (await browser.get(f"{server}/mail", headers=headers)).status_code == 404
