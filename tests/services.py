"""Real servers for tests and benchmarks: a private PostgreSQL cluster, PgBouncer in front of it, and a Redis.

All listen on the loopback address alone, on free ports, and live in a directory of their own. They end with the thread
that started them, however that ends: start them from the main one. ``fsync`` is on: what is measured and cut off here
is what a disk really holds.
"""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

T = TypeVar("T")

START_SECONDS = 60.0
STOP_SECONDS = 30.0
ROLE = "semel"

REDIS_PASSWORD = secrets.token_hex(16)
"""Of every Redis that this process starts."""

BOUNDS = "SET statement_timeout = 5000; SET lock_timeout = 3000"

POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "jit": "off",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL server whose role may create databases. ``log`` is its log file where the server is ours."""

    url: str = field(repr=False)
    log: Path | None = None

    def database_url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    @contextmanager
    def database(self, like: str | None = None) -> Iterator[str]:
        """Make a database, yield its URL, drop it. A connection still open to it then is an error.

        It is empty, or a copy of the one whose URL is ``like``, to which nobody is connected.
        """
        name = f"semel_{secrets.token_hex(6)}"
        template = urlsplit(like).path.removeprefix("/") if like else "template1"
        run_apart(self._execute(f"CREATE DATABASE {name} TEMPLATE {template}"))
        try:
            yield self.database_url(name)
        finally:
            run_apart(self._drop(name))

    async def _drop(self, name: str) -> None:
        try:
            # Without FORCE the server waits five seconds for others to leave, then names what it met.
            await self._execute(f"DROP DATABASE {name}")
        except asyncpg.ObjectInUseError as error:
            await self._execute(f"DROP DATABASE {name} WITH (FORCE)")
            message = f"connections to the test's database were left open: {error.detail}"
            raise AssertionError(message) from error

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


class PostgresCluster:
    """A private cluster in a directory, which may be stopped as one pleases and started again. ``server`` is it."""

    def __init__(self, directory: Path) -> None:
        programs = _postgres_programs()
        password, port = secrets.token_hex(16), free_port()
        _initialise(programs, directory, password)
        command = [str(programs / "postgres"), "-D", str(directory / "data"), "-k", str(directory), "-p", str(port)]
        for name, value in POSTGRES_SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        self._command = _owned(command)
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.server = PostgresServer(f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/postgres", self._log)

    def launch(self) -> None:
        """Start it, from the thread that it is to end with."""
        self._process = _launched(self._command, self._log, signal.SIGINT)

    def wait(self) -> None:
        """Return once it answers."""
        assert self._process is not None
        _wait_for_answer(self._process, _greeting(self.server.url), self._log)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Shut it down: ``SIGINT`` is fast, ``SIGQUIT`` immediate, as after a crash."""
        assert self._process is not None
        _stop(self._process, how)


@contextmanager
def postgres_cluster() -> Iterator[PostgresCluster]:
    """Start a private cluster, and stop it afterwards."""
    with _directory("semel-postgres-") as directory:
        cluster = PostgresCluster(directory)
        cluster.launch()
        try:
            cluster.wait()
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Yield the server of ``SEMEL_TEST_POSTGRES_URL``, or start a private one and stop it afterwards."""
    if url := os.environ.get("SEMEL_TEST_POSTGRES_URL"):
        yield PostgresServer(url)
        return
    with postgres_cluster() as cluster:
        yield cluster.server


@contextmanager
def pgbouncer(url: str, *, pool_size: int = 5, bounds: str = BOUNDS, ignored: str = "") -> Iterator[str]:
    """Start PgBouncer in transaction mode before the database of ``url``; yield the URL that leads through it.

    ``bounds`` is SQL that each of its own connections begins with, since its clients cannot set anything; a client that
    tries is turned away, unless what it sets is ``ignored``.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        message = "pgbouncer is missing: run scripts/install-test-services"
        raise RuntimeError(message)
    behind, port = urlsplit(url), free_port()
    name = behind.path.removeprefix("/")
    settings = f"""\
[databases]
{name} = host={behind.hostname} port={behind.port or 5432} user={behind.username} password={behind.password or ""} \
connect_query='{bounds}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
ignore_startup_parameters = {ignored}
default_pool_size = {pool_size}
max_client_conn = 500
"""
    with _directory("semel-pgbouncer-") as directory:
        (directory / "pgbouncer.ini").write_text(settings)
        through = f"postgresql://{behind.username}@127.0.0.1:{port}/{name}?pooler=transaction"
        command = [program, "--quiet", str(directory / "pgbouncer.ini")]
        with running(_owned(command), directory / "log", _greeting(through.partition("?")[0])):
            yield through


@contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """Start a private Redis that keeps nothing on disk and wants a password; yield its URL."""
    program = shutil.which(os.environ.get("SEMEL_TEST_REDIS", "redis-server"))
    if program is None:
        message = "redis-server is missing: run scripts/install-test-services, or set SEMEL_TEST_REDIS"
        raise RuntimeError(message)
    port, password = port or free_port(), REDIS_PASSWORD
    with _directory("semel-redis-") as directory:
        settings = directory / "redis.conf"
        settings.write_text(f'bind 127.0.0.1\nport {port}\nsave ""\nappendonly no\nrequirepass {password}\n')
        command = _owned([program, str(settings), "--dir", str(directory)])
        with running(command, directory / "log", listening(port)):
            yield f"redis://:{password}@127.0.0.1:{port}/0"


def listening(port: int) -> Callable[[], bool]:
    """Return what tells whether somebody listens at the port."""

    def connects() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return connects


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a loop and in a thread of its own, so that the caller may have a loop running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _postgres_programs() -> Path:
    """Return the directory of the newest PostgreSQL that is installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    found = debian[-1] if debian else shutil.which("postgres")
    if found is None:
        message = "postgresql is missing: run scripts/install-test-services, or set SEMEL_TEST_POSTGRES_URL"
        raise RuntimeError(message)
    return Path(found).parent


@contextmanager
def _directory(prefix: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        directory = Path(name)
        if (user := _other_user()) is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        yield directory


def _initialise(programs: Path, directory: Path, password: str) -> None:
    secret = directory / "password"
    secret.write_text(password)
    command = [str(programs / "initdb"), "-D", str(directory / "data"), "-U", ROLE, "-A", "scram-sha-256"]
    command += ["--pwfile", str(secret), "-E", "UTF8", "--locale", "C", "--no-sync"]
    made = subprocess.run(_owned(command), cwd=directory, capture_output=True, text=True, check=False)
    secret.unlink()
    if made.returncode:
        raise RuntimeError(made.stdout + made.stderr)


@contextmanager
def running(
    command: list[str],
    log: Path,
    answers: Callable[[], bool],
    *,
    stop: signal.Signals = signal.SIGTERM,
    variables: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Run a server from when it answers until the block ends, and not beyond the thread that called this."""
    process = _launched(command, log, stop, variables)
    try:
        _wait_for_answer(process, answers, log)
        yield
    finally:
        _stop(process, stop)


def _launched(
    command: list[str], log: Path, stop: signal.Signals, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a server that is sent the signal when the thread ends that called this."""
    bound = ["setpriv", "--pdeathsig", stop.name.removeprefix("SIG"), *command]
    environment = {**os.environ, **(variables or {})}
    with log.open("ab") as output:
        return subprocess.Popen(bound, cwd=log.parent, stdout=output, stderr=output, env=environment)


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for_answer(process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(log.read_text())
        time.sleep(0.02)


def _greeting(url: str) -> Callable[[], bool]:
    """Return what tells whether a PostgreSQL answers at the URL."""

    async def greet() -> bool:
        try:
            connection = await asyncpg.connect(url)
        except (OSError, asyncpg.CannotConnectNowError):
            return False
        await connection.close()
        return True

    return lambda: run_apart(greet())


def _owned(command: list[str]) -> list[str]:
    """Return the command so that it runs as a user PostgreSQL accepts."""
    if (user := _other_user()) is None:
        return command
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--", *command]


def _other_user() -> pwd.struct_passwd | None:
    """Return the user for the servers, which refuse to run as root; ``None`` for whoever runs the tests."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None
