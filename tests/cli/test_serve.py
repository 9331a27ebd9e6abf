"""The server's command: real processes, started, asked and stopped."""

import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Run
from tests.servers import Servers, environment


@pytest.fixture
def database(servers: Servers, tmp_path: Path) -> str:
    """The URL of a file with our tables."""
    url = f"sqlite:///{tmp_path}/semel.db"
    servers.migrate(url)
    return url


def test_it_says_what_to_try_and_that_works(servers: Servers, database: str) -> None:
    """The command that it prints signs somebody up; told to stop, it ends well."""
    with servers.running(database) as server:
        (line,) = re.findall(r"^ +(curl .*)$", server.output(), re.MULTILINE)
        answer = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True).stdout
        assert answer.startswith("HTTP/1.1 201")
        assert server.stop() == 0


def test_workers_share_their_metrics(servers: Servers, database: str) -> None:
    """Whichever of two processes is asked, it tells of all requests."""
    with servers.running(database, SEMEL_WORKERS="2") as server:
        for one in range(8):
            person = {"name": "Ada", "email": f"a{one}@gmail.com", "password": servers.secret()}
            httpx.post(f"{server.url}/api/auth/signup", json=person).raise_for_status()
        told = {httpx.get(f"{server.url}/metrics").text for _ in range(8)}
        counted = 'semel_registrations_total{door="signup",outcome="created"} 8.0'
        assert all(counted in text for text in told)
        assert server.stop() == 0


def test_it_refuses_in_one_line_what_would_not_work(servers: Servers, database: str) -> None:
    """A port that is taken, an address that is not ours, workers over a store in memory."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = {
            "SEMEL_PORT: cannot listen there": servers.run("serve", "--port", port, database_url=database),
            "cannot listen there": servers.run("serve", "--host", "192.0.2.1", database_url=database),
            "set SEMEL_WORKERS to 1": servers.run("serve", "--workers", "2", database_url="memory:"),
        }
    for says, ended in refused.items():
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
        assert says in ended.stderr


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["config"], ["user", "list"]], ids=" ".join)
@pytest.mark.parametrize("setting", ["SEMEL_DATABASE_URL", "SEMEL_PROVIDER_URL"])
@pytest.mark.parametrize("odd", ["[", "]", "\u2100", "\uff0f", ":"])
def test_a_url_at_fault_shows_no_password(run: Run, here: Path, setting: str, odd: str, command: list[str]) -> None:
    """Whatever stands in a URL that cannot be read: never a traceback, and no password on any output."""
    scheme = {"SEMEL_DATABASE_URL": "postgresql", "SEMEL_PROVIDER_URL": "fake+tcp"}[setting]
    (here / ".env").write_text(f"{setting}={scheme}://me:hunter2{odd}@127.0.0.1:1/d\n", encoding="utf-8")
    ended = run(*command)
    assert ended.err.count("\n") <= 1
    assert "hunter2" not in ended.out + ended.err


def test_upkeep_goes_on_until_told_to_stop(database: str) -> None:
    """As a process of its own, for servers that run none: it says that it has begun, and ends well."""
    command = [str(Path(sys.executable).with_name("semel")), "upkeep"]
    with subprocess.Popen(command, env=environment(database), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "Upkeep makes a pass about every 10 seconds.\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
