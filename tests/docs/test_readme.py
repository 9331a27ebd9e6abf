"""The README, followed to the letter."""

import shutil
import sys
from pathlib import Path

import httpx

from tests.docs.how_to import HowTo, send
from tests.servers import Servers, environment
from tests.services import free_port

_PROJECT = Path(__file__).parents[2]
_TAKEN = ("Makefile", "pyproject.toml", "requirements", "scripts")


def _copy(to: Path) -> None:
    """Lay out what a clone has and the first command needs, with the environment that these tests run in."""
    for name in _TAKEN:
        source = _PROJECT / name
        shutil.copytree(source, to / name) if source.is_dir() else shutil.copy(source, to / name)
    (to / ".venv").symlink_to(sys.prefix)


def test_the_two_commands_of_the_readme(servers: Servers, tmp_path: Path) -> None:
    """The server that ``make run`` starts answers the request as it says; the second command is what runs this."""
    commands = [block.code.strip() for block in HowTo.read("../../README").blocks if block.language == "sh"]
    run, sign_up, test = commands
    assert (run, test) == ("make run", "make test")
    _copy(tmp_path)
    port = free_port()
    variables = {**environment(""), "SEMEL_PORT": str(port)}
    del variables["SEMEL_DATABASE_URL"]
    with servers.process(run.split(), port, variables, tmp_path) as server:
        server.wait("/readyz")
        first, again = send(sign_up, server.url), send(sign_up, server.url)
        other = send(sign_up.replace("Ada Lovelace", "Ada King"), server.url)
        assert "There is no mail." in httpx.get(f"{server.url}/mail").text
    assert (tmp_path / "var" / "semel.db").is_file()
    assert (first.status_code, first.json()["user_id"]) == (201, again.json()["user_id"])
    assert (other.status_code, [error["field"] for error in other.json()["errors"]]) == (409, ["email"])
