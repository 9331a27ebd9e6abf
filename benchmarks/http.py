"""A sign-up over HTTP beside a bare endpoint that writes the same rows: real servers, the load from a third process.

All run on uvicorn, two processes each, with the same loop and parser. *bare* promises nothing (see ``bare_app``).
*Semel* is the server as it ships, with a log line for the request and one for the registration, metrics and headers;
only the hash costs nothing. *Semel, quiet* logs warnings alone.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec

from benchmarks.load import Answers
from benchmarks.people import sign_up
from benchmarks.turns import Bench, Benchmark, Contender, Effort, Table, ratios, take_turns
from semel.stores.migrate import migrate
from semel.stores.schema import SCHEMA, table_name
from tests.servers import Server, Servers, environment
from tests.services import PostgresServer, free_port

__all__ = ["HTTP", "Served", "Site", "ask", "run", "sites"]

SERVERS = 2
CONNECTIONS = 16
BARE = "bare"

_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of many, and ours in it has a name of its own
_LOGS = _MEMORY if _MEMORY.is_dir() else None
"""Lines go to memory, as they would to a collector, and not to the disk that the databases wait for."""


class Served(NamedTuple):
    """An application, and settings of its own."""

    application: str
    settings: Mapping[str, str] = {}


CONTENDERS = {
    BARE: Served("benchmarks.bare_app:application"),
    "Semel": Served("benchmarks.semel_app:application", {"SEMEL_LOG_LEVEL": "info"}),
    "Semel, quiet": Served("benchmarks.semel_app:application", {"SEMEL_LOG_LEVEL": "warning"}),
}


class Site(NamedTuple):
    """The servers of an application, and their database."""

    database: str
    servers: Sequence[Server]


@asynccontextmanager
async def sites(postgres: PostgresServer, served: Mapping[str, Served]) -> AsyncIterator[dict[str, Site]]:
    """Run the servers of all these."""
    with ExitStack() as closing:
        processes = Servers(Path(closing.enter_context(tempfile.TemporaryDirectory(dir=_LOGS))))
        found = {}
        for name, one in served.items():
            database = closing.enter_context(postgres.database())
            await migrate(database)
            found[name] = Site(database, closing.enter_context(_starting(processes, database, one)))
        for site in found.values():
            for server in site.servers:
                server.wait("/readyz")
        yield found


@contextmanager
def _starting(processes: Servers, database: str, served: Served) -> Iterator[list[Server]]:
    with ExitStack() as closing:
        # As `semel serve` does where workers share their metrics.
        metrics = closing.enter_context(tempfile.TemporaryDirectory())
        variables = environment(database, {"PROMETHEUS_MULTIPROC_DIR": metrics, **served.settings})
        servers = []
        for _ in range(SERVERS):
            port = free_port()
            command = [sys.executable, "-m", "uvicorn", "--factory", served.application, "--port", str(port)]
            command += ["--no-access-log", "--no-server-header"]
            servers.append(closing.enter_context(processes.process(command, port, variables)))
        yield servers


async def ask(servers: Sequence[Server], count: int, connections: int, *more: str) -> Answers:
    """Load the servers from a process of its own."""
    urls = [server.url for server in servers]
    command = [sys.executable, "-m", "benchmarks.load", *urls, "--count", str(count)]
    command += ["--connections", str(connections), *more]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("the load has failed")
    return msgspec.json.decode(printed, type=Answers)


async def _turn(site: Site, count: int) -> float:
    await _empty(site.database)
    answers = await ask(site.servers, count, CONNECTIONS)
    if answers.statuses != {"201": count}:
        raise RuntimeError(f"the servers answered {answers.statuses}")
    return answers.seconds


async def _empty(database: str) -> None:
    tables = {f"{SCHEMA}.{table_name(type(write.record), SCHEMA)}" for write in sign_up()}
    connection = await asyncpg.connect(database)
    await connection.execute(f"TRUNCATE {', '.join(sorted(tables))} CASCADE")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def run(bench: Bench) -> Table:
    """Measure; every turn begins with empty tables."""
    async with sites(bench.postgres, CONTENDERS) as found:
        for site in found.values():
            await _turn(site, max(bench.effort.count // 4, CONNECTIONS))  # nothing is cold then
        contenders = [Contender(name, BARE, partial(_turn, site)) for name, site in found.items()]
        a_second = await take_turns(bench, contenders)
    return ratios("Sign-ups over HTTP", contenders, a_second)


HTTP = Benchmark("http", Effort(count=4000, rounds=7, seconds=60), run)
