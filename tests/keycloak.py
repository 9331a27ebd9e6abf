"""A real Keycloak for tests: see ``scripts/install-test-services``.

It listens on the loopback address alone, on a free port, with the realms of ``keycloak_realms``. Its database is a copy
of one that was made once, which spares half a minute; every commit is handed to the system before it is answered, so
that what a killed server has answered is there when it comes back. Java runs without Keycloak's shell around it: that
would outlive whoever ends it, or be outlived.

As a program it keeps one server for all processes of a test run, until the last of them is done.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import msgspec

from semel.model import Secret
from semel.providers.keycloak_options import KeycloakOptions
from tests.keycloak_realms import CLIENT, PEOPLE, REALMS, SECRET
from tests.services import free_port

__all__ = ["Keycloak", "MortalKeycloak", "keycloak_of_the_run", "keycloak_server"]

START_SECONDS: Final = 110.0
_ROOT: Final = Path(__file__).parents[1]
_VERSION: Final = (_ROOT / "tests" / "keycloak.sha256").read_text().strip().removesuffix(".zip").rpartition("-")[2]
_JAVA: Final = [
    *("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"),
    *("-Dfile.encoding=UTF-8", "-Duser.language=en", "-Djava.util.logging.manager=org.jboss.logmanager.LogManager"),
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.util", "java.util.concurrent")),
]
_ENTRY: Final = "io.quarkus.bootstrap.runner.QuarkusEntryPoint"


@dataclass(frozen=True)
class Keycloak:
    """A running server."""

    url: str

    def realm(self, name: str = "semel") -> str:
        """Return what ``SEMEL_PROVIDER_URL`` says of a realm."""
        return f"keycloak+{self.url}/realms/{name}"

    def options(self, realm: str = "semel", **changes: object) -> KeycloakOptions:
        given = {"url": Secret(self.realm(realm)), "client_id": CLIENT, "client_secret": Secret(SECRET)}
        return KeycloakOptions(**{**given, "timeout": 30.0, **changes})  # type: ignore[arg-type]

    def variables(self, realm: str) -> dict[str, str]:
        """Return how a server of ours is told of a realm, with a client of its own for sign-in."""
        return {
            "SEMEL_PROVIDER_URL": self.realm(realm),
            "SEMEL_KEYCLOAK_CLIENT_ID": CLIENT,
            "SEMEL_KEYCLOAK_CLIENT_SECRET": SECRET,
            "SEMEL_KEYCLOAK_SIGN_IN_CLIENT_ID": PEOPLE,
            "SEMEL_KEYCLOAK_SIGN_IN_CLIENT_SECRET": SECRET,
        }


class MortalKeycloak:
    """A server with a database of its own, which can be killed and brought back on the same port."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.keycloak = Keycloak(f"http://127.0.0.1:{self.port}")
        self._directory = directory
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        shutil.copytree(_template(), directory / "h2")

    def start(self) -> None:
        """Start it; see ``wait``. It ends with the thread that called this, however that ends."""
        options = ["--http-enabled=true", "--hostname-strict=false", "--cache=local"]
        options += ["--http-host=127.0.0.1", f"--http-port={self.port}"]
        options += [f"--db-url={_database(self._directory / 'h2')};WRITE_DELAY=0"]
        command = ["setpriv", "--pdeathsig", "KILL", *_command("start", *options)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._directory, stdout=log, stderr=log)

    def wait(self) -> None:
        """Return once it answers."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._log.read_text())
            time.sleep(0.1)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.keycloak.url}/realms/master", trust_env=False).is_success
        except httpx.TransportError:
            return False


@contextmanager
def keycloak_server() -> Iterator[MortalKeycloak]:
    """Yield a server that answers, and end it afterwards."""
    with tempfile.TemporaryDirectory(prefix="semel-keycloak-") as directory:
        server = MortalKeycloak(Path(directory))
        server.start()
        try:
            server.wait()
            yield server
        finally:
            server.kill()


@contextmanager
def keycloak_of_the_run(directory: Path) -> Iterator[Keycloak]:
    """Yield the one server of all processes that name the directory: the first starts it, and it ends after the last.

    Each holds a lock while it needs the server, which a process that is killed lets go of as well.
    """
    with (directory / "keycloak.needed").open("a") as needed:
        with (directory / "keycloak.start").open("a") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            fcntl.flock(needed, fcntl.LOCK_SH)
            url = directory / "keycloak.url"
            if not url.exists():
                _keep_one(directory, url)
        yield Keycloak(url.read_text())


def _keep_one(directory: Path, url: Path) -> None:
    """Have a server started by a process that outlives this one where others need it."""
    failed = directory / "keycloak.failed"
    command = ["setsid", "--fork", sys.executable, "-m", "tests.keycloak", str(directory)]
    with (directory / "keycloak.log").open("ab") as log:
        subprocess.run(command, cwd=_ROOT, stdout=log, stderr=log, check=True)
    while not url.exists():
        if failed.exists():
            raise RuntimeError(failed.read_text())
        time.sleep(0.1)


def _keeper(directory: Path) -> None:
    """Start a server, say where it is, and end it once nobody holds the lock."""
    url = directory / "keycloak.url"
    try:
        with keycloak_server() as server, (directory / "keycloak.needed").open("a") as needed:
            url.with_suffix(".new").write_text(server.keycloak.url)
            url.with_suffix(".new").rename(url)
            fcntl.flock(needed, fcntl.LOCK_EX)
            url.unlink()
    except (OSError, RuntimeError) as error:
        (directory / "keycloak.failed").write_text(str(error))
        raise


def _template() -> Path:
    """Return a directory with a database that has the realms, made once for every content of theirs."""
    document = msgspec.json.encode(REALMS)
    name = f"realms-{_VERSION}-{hashlib.sha256(document).hexdigest()[:16]}"
    _cache().mkdir(parents=True, exist_ok=True)
    made = _cache() / name
    with (_cache() / f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(prefix="new-", dir=_cache()) as directory:
                _import(Path(directory), document)
                (Path(directory) / "h2").rename(made)
    return made


def _import(directory: Path, document: bytes) -> None:
    (directory / "realms.json").write_bytes(document)
    command = _command("import", f"--file={directory / 'realms.json'}", f"--db-url={_database(directory / 'h2')}")
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def _command(*arguments: str) -> list[str]:
    """Return what runs Keycloak, as its own shell script would, in the shell's place."""
    home = Path(os.environ.get("SEMEL_TEST_KEYCLOAK") or _cache() / f"keycloak-{_VERSION}")
    java = shutil.which("java")
    if java is None or not (home / ".built-for-semel").exists():
        raise RuntimeError("Keycloak or Java is missing: run scripts/install-test-services")
    places = f"-Dkc.home.dir={home}", f"-Djboss.server.config.dir={home / 'conf'}"
    program = ["-cp", str(home / "lib" / "quarkus-run.jar"), _ENTRY]
    return [java, *_JAVA, *places, *program, *arguments[:1], "--optimized", *arguments[1:]]


def _database(directory: Path) -> str:
    return f"jdbc:h2:file:{directory}/keycloak;NON_KEYWORDS=VALUE"


def _cache() -> Path:
    """Return where everything is kept that is the same for every run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "semel-tests"


if __name__ == "__main__":
    if sys.argv[1:] == ["prepare"]:
        _template()
    else:
        _keeper(Path(sys.argv[1]))
