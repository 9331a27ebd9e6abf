"""Real ``semel serve`` processes for tests: started, awaited, stopped, and their output searched for secrets."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import httpx

from tests.services import free_port

START_SECONDS = 60.0
STOP_SECONDS = 30.0

UNDECLARED = "http.undeclared"
"""The event of an error that its operation does not declare."""
_HEAD = 4
"""By so many first characters secrets are told apart before they are looked for one by one."""
_SEMEL = [str(Path(sys.executable).with_name("semel"))]
_DEVELOPMENT = {
    "SEMEL_ALLOW_SPECIAL_USE_EMAILS": "true",
    # The cheapest hash that argon2 takes: these tests are about races, not about hashes.
    "SEMEL_ARGON2_MEMORY_KIB": "8",
    "SEMEL_ARGON2_ITERATIONS": "1",
    # All requests come from one address; what the limits do is shown where it is the question.
    "SEMEL_RATE_LIMITS": "off",
    "SEMEL_LOG_FORMAT": "json",
    "SEMEL_LOG_LEVEL": "debug",
}


@dataclass(frozen=True)
class Server:
    """A running server, or one that has ended."""

    url: str
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    def wait(self, path: str) -> None:
        """Return once it answers at the path, and not with 503."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if httpx.get(self.url + path).status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                    return
            except httpx.TransportError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.output())
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def output(self) -> str:
        return self.log.read_text()


class Servers:
    """Starts servers, keeps what all of them print, and knows the secrets that must not be in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._secrets: set[str] = set()
        self._started = 0

    def secret(self, prefix: str = "Pass") -> str:
        """Return a new password (or other secret) that no server may ever print."""
        return self.hide(f"{prefix}-{secrets.token_urlsafe(12)}")

    def hide(self, text: str) -> str:
        """Add a secret that came from elsewhere, such as a token."""
        self._secrets.add(text)
        return text

    def migrate(self, database_url: str, **settings: str) -> None:
        """Make the tables."""
        done = self.run("migrate", database_url=database_url, **settings)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, *command: str, database_url: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ``semel`` to its end."""
        variables = self._environment(database_url, settings)
        done = subprocess.run([*_SEMEL, *command], env=variables, capture_output=True, text=True, check=False)
        self._new_log().write_text(done.stdout + done.stderr)
        return done

    @contextmanager
    def running(self, database_url: str, **settings: str) -> Iterator[Server]:
        """Run a server and yield it once it is ready."""
        with self.starting(database_url, **settings) as server:
            server.wait("/readyz")
            yield server

    def starting(self, database_url: str, **settings: str) -> AbstractContextManager[Server]:
        """Run a server and yield it at once, so that several may start side by side; see ``Server.wait``."""
        port = free_port()
        settings = {"SEMEL_PORT": str(port), **settings}
        return self.process([*_SEMEL, "serve"], port, self._environment(database_url, settings))

    @contextmanager
    def process(
        self, command: Sequence[str], port: int, variables: Mapping[str, str], cwd: Path | None = None
    ) -> Iterator[Server]:
        """Run any server that will listen on the port; yield it at once. In the end it is told to stop."""
        log = self._new_log()
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=variables, cwd=cwd, stdout=output, stderr=output)
        server = Server(f"http://127.0.0.1:{port}", log, process)
        try:
            yield server
        finally:
            if process.poll() is None:
                server.stop()

    def check(self) -> None:
        """Look through all that was ever printed."""
        for log in sorted(self._directory.glob("*.log")):
            self.look_through(log)

    def look_through(self, log: Path) -> None:
        """Look through one log, which may be another server's, such as a database's."""
        text = log.read_text(errors="replace")
        found = leaked(text, self._secrets)
        assert not found, f"{log} shows a secret {len(found)} time(s), first here: {found[0]}"
        assert UNDECLARED not in text, f"{log}: an answer that the OpenAPI document does not know"

    def _environment(self, database_url: str, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a server that leaves no mail where the tests are run from."""
        return environment(database_url, {"SEMEL_MAIL_DIRECTORY": str(self._directory / "mail"), **settings})

    def _new_log(self) -> Path:
        self._started += 1
        return self._directory / f"{self._started:04}.log"


def leaked(text: str, hidden: set[str]) -> list[str]:
    """Return the lines that show a secret, the secret itself taken out."""
    shown = _shown(text, hidden)
    if not shown:
        return []
    # The longest first: else the rest of one that begins like another would be shown.
    pattern = re.compile("|".join(map(re.escape, sorted(shown, key=len, reverse=True))))
    return [pattern.sub("(secret)", line) for line in text.splitlines() if pattern.search(line)]


def _shown(text: str, hidden: set[str]) -> set[str]:
    """Return the secrets that stand in a text.

    Logs are long and secrets are many, but most begin alike: the text is gone through once for each beginning.
    """
    alike: dict[str, set[str]] = defaultdict(set)
    for secret in hidden:
        alike[secret[:_HEAD]].add(secret)
    shown: set[str] = set()
    for head, secrets_of in alike.items():
        lengths = {len(secret) for secret in secrets_of}
        at = text.find(head)
        while at >= 0:
            shown |= {text[at : at + length] for length in lengths} & secrets_of
            at = text.find(head, at + 1)
    return shown


def environment(database_url: str, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a server: this process's own, without settings that a developer may have made."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SEMEL_")}
    return {**inherited, **_DEVELOPMENT, "SEMEL_DATABASE_URL": database_url, **(settings or {})}
