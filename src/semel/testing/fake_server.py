"""The fake remote provider for other processes, so that a lost answer is a connection that really breaks.

The server speaks JSON over TCP, a line each way, one request a connection; where the answer is ``Unknown`` it closes
the connection without one. It listens on loopback alone: passwords travel in clear, and whoever connects may plan
faults.

``python -m semel.testing.fake_server [own|named|marker]`` serves on a free port, prints the address, ends at SIGTERM.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from typing_extensions import override

from semel.errors import ConfigurationInvalid
from semel.model import Secret
from semel.ports import Absent, Done, Exists, Found, FoundPage, NewIdentity, Rejected, SignedIn, Unknown, Verified
from semel.system import SystemClock
from semel.testing.fake_provider import TIMEOUT, FakeProvider, ProviderFace, Variant
from semel.testing.fake_realm import Changes
from semel.testing.faults import PROVIDER_OPERATIONS, Fault, FaultPlan

__all__ = ["SCHEME", "FakeProviderClient", "FakeProviderServer", "RemoteFaults"]

SCHEME: Final = "fake+tcp"
"""Of the addresses that lead here, such as ``fake+tcp://127.0.0.1:9000``."""

_ARGUMENTS: Final[Mapping[str, Any]] = {
    "create": tuple[NewIdentity],
    "find": tuple[str],
    "find_by_email": tuple[str],
    "update": tuple[str, Changes],
    "delete": tuple[str],
    "page": tuple[str | None, int],
    "verify_password": tuple[str, str | None, Secret],
    "sign_in": tuple[str, Secret],
    "refresh": tuple[Secret],
    "whose": tuple[Secret],
    "sign_out": tuple[Secret],
    "plan.next": tuple[str, list[Fault | None]],
    "plan.always": tuple[Fault, list[str]],
    "plan.lift": tuple[()],
    "plan.land": tuple[()],
    "plan.calls": tuple[()],
}
_KINDS: Final = (Absent, Done, Exists, Found, FoundPage, Rejected, SignedIn, Verified, dict, type(None))
_ANSWERS: Final[Mapping[str, Any]] = {kind.__name__: kind for kind in _KINDS}
_REFUSED: Final = "refused"


class FakeProviderServer:
    """Serves a ``FakeProvider`` on a loopback port, while entered. Its ``plan`` says what goes wrong."""

    def __init__(self, variant: Variant = Variant.OWN, port: int = 0, timeout: float = TIMEOUT) -> None:
        self.plan = FaultPlan(PROVIDER_OPERATIONS)
        self.provider = FakeProvider(variant, self.plan, SystemClock(), timeout)
        self._port = port
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The address for ``FakeProviderClient``, while entered."""
        return f"{SCHEME}://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if line := await reader.readline():
                writer.write(await self._answer(line))
                await writer.drain()
        except ConnectionError:
            pass  # whoever asked is gone
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> bytes:
        """Return the line to answer with; it is empty where there is to be none."""
        try:
            answer = await self._do(*_decode(line))
        except (KeyError, ValueError, msgspec.MsgspecError) as error:
            return _encode(_REFUSED, str(error))
        return b"" if isinstance(answer, Unknown) else _encode(type(answer).__name__, answer)

    async def _do(self, operation: str, args: tuple[Any, ...]) -> object:
        match operation:
            case "plan.next":
                self.plan.next(args[0], *args[1])
            case "plan.always":
                self.plan.always(args[0], *args[1])
            case "plan.lift":
                self.plan.lift()
            case "plan.land":
                self.provider.land()
            case "plan.calls":
                return dict(self.provider.calls)
            case _:
                return await self.provider.ask(operation, *args)
        return None


class _Line:
    """One question to a server: a connection, a line, an answer."""

    def __init__(self, url: str) -> None:
        parts = re.fullmatch(rf"{re.escape(SCHEME)}://([^/:@]+):([0-9]{{1,5}})/?", url)
        if parts is None:
            raise ConfigurationInvalid(f"The address of a fake provider reads {SCHEME}://HOST:PORT.")
        self._address = parts[1], int(parts[2])

    async def ask(self, operation: str, args: tuple[object, ...]) -> Any:  # noqa: ANN401 - each operation has its own
        """Return the answer, or ``Unknown`` where the connection breaks before there is one."""
        try:
            reader, writer = await asyncio.open_connection(*self._address)
        except OSError:
            return Unknown("the connection was refused", retry_after=1.0)
        try:
            writer.write(_encode(operation, args))
            line = await reader.readline()
        except ConnectionError:
            line = b""
        finally:
            writer.close()
        if not line.endswith(b"\n"):
            return Unknown("the connection broke")
        name, value = msgspec.json.decode(line)
        if name == _REFUSED:
            raise ValueError(value)
        return msgspec.convert(value, _ANSWERS[name])


class FakeProviderClient(ProviderFace):
    """A remote provider (``ports.RemoteProvider`` and ``Sessions``) at the address of a ``FakeProviderServer``.

    Raises ``ConfigurationInvalid`` where the address is none.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self._line = _Line(url)

    @override
    async def ask(self, operation: str, *args: Any) -> Any:
        """See ``ProviderFace.ask``."""
        try:
            async with asyncio.timeout(self.timeout):
                return await self._line.ask(operation, args)
        except TimeoutError:
            return Unknown("there was no answer in time")


class RemoteFaults:
    """The fault plan of a ``FakeProviderServer`` in another process; see ``FaultPlan`` and ``FakeProvider.land``.

    Raises ``ValueError`` as that does, and ``ConnectionError`` where the server is not there.
    """

    def __init__(self, url: str) -> None:
        self._line = _Line(url)

    async def next(self, operation: str, *faults: Fault | None) -> None:
        """See ``FaultPlan.next``."""
        await self._tell("next", operation, faults)

    async def always(self, fault: Fault, *operations: str) -> None:
        """See ``FaultPlan.always``."""
        await self._tell("always", fault, operations)

    async def lift(self) -> None:
        """See ``FaultPlan.lift``."""
        await self._tell("lift")

    async def land(self) -> None:
        """See ``FakeProvider.land``."""
        await self._tell("land")

    async def calls(self) -> dict[str, int]:
        """Return how often each operation was asked."""
        answer: dict[str, int] = await self._tell("calls")
        return answer

    async def _tell(self, verb: str, *args: object) -> Any:  # noqa: ANN401 - as _Line.ask
        answer = await self._line.ask(f"plan.{verb}", args)
        if isinstance(answer, Unknown):
            raise ConnectionError(f"the fake provider did not take {verb}: {answer.why}")
        return answer


def _encode(name: str, value: object) -> bytes:
    return msgspec.json.encode((name, value), enc_hook=_reveal) + b"\n"


def _decode(line: bytes) -> tuple[str, tuple[Any, ...]]:
    operation, args = msgspec.json.decode(line, type=tuple[str, list[Any]])
    found: tuple[Any, ...] = msgspec.convert(args, _ARGUMENTS[operation], dec_hook=lambda _, text: Secret(text))
    return operation, found


def _reveal(secret: object) -> str:
    if isinstance(secret, Secret):
        return secret.reveal()
    raise TypeError(f"a {type(secret).__name__} does not travel")


async def _main(variant: Variant) -> None:
    async with FakeProviderServer(variant) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(Variant(sys.argv[1]) if sys.argv[1:] else Variant.OWN))
