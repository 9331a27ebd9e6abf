"""The fake provider over a connection: faults break it, and a server of its own process takes a plan from outside."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from semel.errors import ConfigurationInvalid
from semel.model import Secret
from semel.ports import Absent, Done, Found, NewIdentity, Rejected, Unknown, Verified
from semel.testing import Fault
from semel.testing.fake_server import FakeProviderClient, FakeProviderServer, RemoteFaults

ADA = NewIdentity("ada", "ada@example.org", Secret("Enchantress"), confirmed=True, full_name="Ada")


@pytest.fixture
async def server() -> AsyncIterator[FakeProviderServer]:
    async with FakeProviderServer() as serving:
        yield serving


@pytest.mark.parametrize(("fault", "done"), [(Fault.LOSE, True), (Fault.DROP, False), (Fault.DOWN, False)])
async def test_a_fault_breaks_the_connection(fault: Fault, done: bool, server: FakeProviderServer) -> None:  # noqa: FBT001
    """The client has no answer, whatever was done."""
    client = FakeProviderClient(server.url)
    server.plan.next("create", fault)
    assert await client.create(ADA) == Unknown("the connection broke")
    assert bool(server.provider.state.identities) is done


async def test_a_refusal_reaches_the_client(server: FakeProviderServer) -> None:
    """It is an answer like any other."""
    server.plan.next("create", Fault.REFUSE)
    assert await FakeProviderClient(server.url).create(ADA) == Rejected("refused by the provider")


async def test_a_server_that_is_gone_is_unknown(server: FakeProviderServer) -> None:
    """Nobody answers at the address any more."""
    client = FakeProviderClient(server.url)
    await server.__aexit__(None, None, None)
    assert isinstance(await client.find(ADA.id), Unknown)
    assert await client.verify_password(ADA.id, ADA.email, Secret("x")) is Verified.UNKNOWN


async def test_a_slow_server_is_unknown_after_the_time_out(server: FakeProviderServer) -> None:
    """The client waits no longer than its own time-out."""
    server.plan.next("find", Fault.SLOW)
    client = FakeProviderClient(server.url, timeout=0.01)
    assert await client.find(ADA.id) == Unknown("there was no answer in time")


async def test_a_line_that_is_no_request_is_answered_and_does_nothing(server: FakeProviderServer) -> None:
    """The next one is served."""
    for line in (b"nonsense\n", b'["drop", []]\n', b'["find", [1]]\n', b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        writer.write(line)
        writer.write_eof()
        assert (await reader.read()).startswith(b'["refused"' if line else b"")
        writer.close()
    assert await FakeProviderClient(server.url).find(ADA.id) == Absent()


@pytest.mark.parametrize(
    "url", ["", "http://127.0.0.1:1", "fake+tcp://127.0.0.1", "fake+tcp://host:port", "fake+tcp://:1"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """With a sentence that says how one reads."""
    with pytest.raises(ConfigurationInvalid, match="HOST:PORT"):
        FakeProviderClient(url)


async def test_faults_are_planned_from_another_process() -> None:
    """Started by its command it prints its address, takes a plan and ends at SIGTERM."""
    command = sys.executable, "-m", "semel.testing.fake_server", "named"
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        client, faults = FakeProviderClient(url), RemoteFaults(url)
        await faults.next("create", Fault.LATE, None)
        assert isinstance(await client.create(ADA), Unknown)
        assert await client.find(ADA.id) == Absent()
        await faults.land()
        assert isinstance(await client.find(ADA.id), Found)
        await faults.always(Fault.DOWN, "delete")
        assert isinstance(await client.delete("provider-1"), Unknown)
        await faults.lift()
        assert await client.delete("provider-1") == Done()
        assert await faults.calls() == {"create": 1, "find": 2, "delete": 2}
        with pytest.raises(ValueError, match="find_by_email"):
            await faults.next("creat", Fault.LOSE)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
    with pytest.raises(ConnectionError):
        await faults.lift()
