"""The pages on administrators and on invitations, followed to the letter."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from semel.api_keys import Scope
from tests.docs.how_to import HOW_TOS, HowTo, send
from tests.servers import Server, Servers, environment

_PASSWORD = "correct horse battery"


@dataclass
class Reader:
    """Somebody who follows a page."""

    url: str
    server: Server
    known: dict[str, str] = field(default_factory=dict)
    """What the page's variables stand for."""

    def run(self, command: str) -> str:
        """Run a line of the shell and return what it printed."""
        variables = {**environment(self.url), "PASSWORD": _PASSWORD, **self.known}
        variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
        done = subprocess.run(["/bin/bash", "-c", command], env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def send(self, command: str) -> httpx.Response:
        for name, value in self.known.items():
            command = command.replace(f"${name}", value.replace('"', '\\"'))
        return send(command, self.server.url)


@pytest.fixture
def reader(servers: Servers, tmp_path: Path) -> Iterator[Reader]:
    url = f"sqlite:///{tmp_path / 'semel.db'}"
    servers.migrate(url)
    with servers.running(url) as server:
        yield Reader(url, server)


def commands(page: str) -> list[str]:
    """Return the page's lines for the shell that call the command."""
    return [one.code for one in HowTo.read(page).blocks if one.language == "bash" and "semel " in one.code]


def token(printed: str) -> str:
    found = re.search(r"^token\s+(\S+)", printed, re.MULTILINE)
    assert found is not None, printed
    return found[1]


def test_administrators(reader: Reader) -> None:
    """The first one, a key, an account made once, seen, changed at its version."""
    asking, piped, key = commands("administrators")
    assert asking.strip() in piped  # the same, at a terminal
    reader.run(piped)
    reader.known["KEY"] = token(reader.run(key))
    listing, making, changing = HowTo.read("administrators").requests()
    assert [one["username"] for one in reader.send(listing).json()["users"]] == ["boss"]
    made, again = reader.send(making), reader.send(making)
    assert (made.status_code, made.json()) == (201, again.json())
    reader.known |= {"ID": made.json()["id"], "ETAG": made.headers["etag"]}
    changed = reader.send(changing).json()
    assert (changed["username"], changed["attributes"]) == ("ada.king", {"plan": "pro"})
    assert reader.send(changing).json()["code"] == "precondition_failed"


def test_invitations(reader: Reader) -> None:
    """Two are invited; one makes an account of it, one takes it with the account that is there."""
    every = " ".join(f"--scope {scope}" for scope in Scope)
    reader.known["KEY"] = token(reader.run(f"semel key create all {every}"))
    (by_command,) = commands("invitations")
    invite, show, accept, take = HowTo.read("invitations").requests()
    made = reader.send(invite).json()
    reader.known["TOKEN"] = made["token"]
    assert (reader.send(show).json()["email"], made["invitation"]["role"]) == ("bob@gmail.com", "Editor")
    accepted = reader.send(accept)
    assert (accepted.status_code, accepted.json()["account"]["role"]) == (201, "Editor")
    reader.known["TOKEN"] = token(reader.run(by_command))
    reader.known["ACCESS_TOKEN"] = signed_in(reader.server.url)["access_token"]
    taken = reader.send(take)
    assert (taken.status_code, taken.json()["account"]["roles"]) == (200, ["Member", "Editor"])


def signed_in(server: str) -> Mapping[str, Any]:
    person = {"email": "ada@gmail.com", "password": _PASSWORD}
    httpx.post(f"{server}/api/auth/signup", json=person).raise_for_status()
    tokens: Mapping[str, Any] = httpx.post(f"{server}/api/auth/login", json=person).raise_for_status().json()
    return tokens


def test_every_scope_is_explained() -> None:
    """And no other."""
    page = (HOW_TOS / "administrators.md").read_text()
    assert set(re.findall(r"^\| `([a-z]+:[a-z]+)` \|", page, re.MULTILINE)) == set(Scope)
