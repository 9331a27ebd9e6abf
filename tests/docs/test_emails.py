"""The page on proofs of emails, followed to the letter; its mails are read from the local mailbox."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import httpx
import pytest

from semel.config import Settings
from semel.mailers.mailbox import KeptMail, kept_mails
from semel.states import LinkPurpose
from tests.docs.how_to import HOW_TOS, HowTo, send
from tests.docs.test_tables import table
from tests.servers import Servers

_PATIENCE = 60.0


@dataclass
class Reader:
    """Somebody who follows the page, and reads the mails."""

    server: str
    mailbox: Path
    known: dict[str, str] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def send(self, command: str) -> httpx.Response:
        for name, value in self.known.items():
            assert f"${name}" not in "".join(re.findall("'[^']*'", command)), "a shell would not put it there"
            command = command.replace(f"${name}", value)
        return send(command, self.server)

    def mail(self, to: str) -> KeptMail:
        """Return the next mail to somebody, which upkeep sends."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            for one in kept_mails(self.mailbox):
                if one.to == to and one.id not in self.read:
                    self.read.add(one.id)
                    return one
            time.sleep(0.05)
        raise AssertionError(f"no mail to {to}")

    def token(self, to: str) -> str:
        (link,) = set(self.mail(to).links)
        return link.rpartition("/links/")[2]


@pytest.fixture
def reader(servers: Servers, tmp_path: Path) -> Iterator[Reader]:
    (block,) = [one.code for one in HowTo.read("emails").blocks if one.language == "ini"]
    settings = dict(line.split("=", 1) for line in block.splitlines())
    url, mailbox = f"sqlite:///{tmp_path / 'semel.db'}", tmp_path / "mail"
    servers.migrate(url)
    settings |= {"SEMEL_MAIL_DIRECTORY": str(mailbox), "SEMEL_UPKEEP_INTERVAL_SECONDS": "0.2"}
    with servers.running(url, **settings) as server:
        yield Reader(server.url, mailbox)


def test_from_a_sign_up_to_another_email(reader: Reader) -> None:
    """Each request of the page, in its order, answers what the page says."""
    sign_up, sign_in, resend, show, open_, recover, password, email = HowTo.read("emails").requests()
    made = reader.send(sign_up)
    assert made.status_code == 201
    reader.known["SIGN_UP_TOKEN"] = made.json()["sign_up_token"]
    refused = reader.send(sign_in)
    assert (refused.status_code, refused.json()["code"]) == (403, "email_not_verified")
    assert refused.json()["detail"] == "Please verify your email before logging in"
    reader.token("ada@gmail.com")
    assert reader.send(resend).status_code == 202
    reader.known["TOKEN"] = reader.token("ada@gmail.com")
    assert reader.send(show).json().keys() == {"purpose", "email", "expires_at", "leads_to_password"}
    assert (reader.send(open_).status_code, reader.send(open_).json()["code"]) == (200, "link_used")
    assert reader.send(sign_in).status_code == 200
    assert reader.send(recover).status_code == 202
    reader.known["TOKEN"] = reader.token("ada@gmail.com")
    assert reader.send(show).json()["purpose"] == "recover"
    assert reader.send(password).status_code == 200
    assert reader.send(show).json()["code"] in {"link_expired", "link_unknown"}
    assert reader.send(email).status_code == 202
    reader.known["TOKEN"] = reader.token("lovelace@gmail.com")
    assert reader.send(open_).json()["account"]["email"] == "lovelace@gmail.com"


def test_the_page_names_every_purpose_level_and_lifetime() -> None:
    """And no other."""
    page = (HOW_TOS / "emails.md").read_text()
    assert re.findall(r"`(\w+)`", page.partition("`purpose` (")[2].partition(")")[0]) == list(LinkPurpose)
    levels = get_args(Settings.model_fields["enumeration"].annotation)
    assert [level.strip("`") for level in table("how-to/emails.md", "`SEMEL_ENUMERATION`")] == list(levels)
    assert set(re.findall(r"SEMEL_\w+_LINK_\w+", page)) == {
        f"SEMEL_{name.upper()}" for name in Settings.model_fields if "_link_" in name
    }


def test_the_bodies_shown_are_json() -> None:
    for command in HowTo.read("emails").requests():
        for body in re.findall(r"-d '(.*?)'", command):
            assert isinstance(json.loads(body), dict)
