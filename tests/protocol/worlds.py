"""A small world to test the protocol in: a store and a provider behind networks that fail, a virtual clock, servers.

The store judges each commit: only the allowed steps, and no live registration taken from its worker.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import pytest
from typing_extensions import override

from semel.deletion import delete_account
from semel.errors import SemelError
from semel.healing import SignInDoor
from semel.intents import Intent, Policy
from semel.model import Account, Identifier, Identity, Key, Record, Registration, Secret
from semel.ports import Delete, Insert, Tokens, Write
from semel.protocol.engine import Engine, Registered
from semel.protocol.options import Options
from semel.providers.embedded import EmbeddedPasswords
from semel.registrar import Registrar
from semel.states import IdentityState, allowed
from semel.stores.memory import MemoryStore
from semel.testing import (
    PROVIDER_OPERATIONS,
    STORE_OPERATIONS,
    Fault,
    FaultPlan,
    FaultyStore,
    SequentialIds,
    Variant,
    VirtualClock,
)
from semel.testing.fake_provider import FakeProvider
from semel.testing.hashers import CheapHasher
from semel.upkeep import Upkeep

R = TypeVar("R", bound=Record)
T = TypeVar("T")

EMAIL = "ada@example.org"
PASSWORD = Secret("correct horse battery")
OTHER_PASSWORD = Secret("staple of another kind")
KEY = "the first key of all"
OTHER_KEY = "quite another key"
ASK = Intent(email=EMAIL, password=PASSWORD)

CREATED = Counter({"account": 1, "identifier owned": 1, "identity owned": 1, "registration completed": 1})
"""What a sign-up by email leaves with the embedded provider."""
CREATED_REMOTE = CREATED + Counter({"at the provider": 1})
"""What it leaves with a remote one."""
FORGOTTEN = Counter({"registration failed": 1})
"""What a failed sign-up leaves once upkeep has ended its removal."""


class Killed(Exception):
    """The process that made this call is no more."""


class Network(FaultPlan):
    """A plan of faults that counts the calls, and lets something happen just before one of them."""

    def __init__(self, operations: tuple[str, ...]) -> None:
        super().__init__(operations)
        self.calls: Counter[str] = Counter()
        self._actions: dict[str, dict[int, Callable[[], object]]] = defaultdict(dict)

    def before(self, operation: str, action: Callable[[], object], nth: int = 1) -> None:
        """Do this just before the nth call from now, counted from 1."""
        self._actions[operation][self.calls[operation] + nth] = action

    def kill(self, operation: str, nth: int = 1) -> None:
        """Let the caller of the nth call from now die before it is made."""
        self.before(operation, _die, nth)

    @override
    def __call__(self, operation: str) -> Fault | None:
        self.calls[operation] += 1
        action = self._actions[operation].pop(self.calls[operation], None)
        if action is not None:
            action()
        return super().__call__(operation)


def _die() -> None:
    raise Killed


class JudgingStore(MemoryStore):
    """A store in memory that lets no commit pass which the protocol must never make.

    ``objection`` is raised at a commit with a write to which it speaks, as constraints and the application's row do.
    """

    objection: Callable[[Write], SemelError | None] = staticmethod(lambda _: None)

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        for error in filter(None, map(self.objection, writes)):
            raise error
        before = self.table
        await super().commit(writes, token)
        for write in writes:
            after = None if isinstance(write, Delete) else write.record
            self._judge(before.get((write.record.TYPE, write.record.key)), after)

    def _judge(self, before: Record | None, after: Record | None) -> None:
        one = before or after
        if isinstance(one, Registration | Identity):
            states = getattr(before, "state", None), getattr(after, "state", None)
            assert allowed(*states), f"{one.TYPE}: {states}"
        if isinstance(before, Registration) and isinstance(after, Registration) and before.owner and after.owner:
            live = before.due_at is not None and before.due_at > self._now()
            assert before.owner == after.owner or not live, "a registration taken from its live worker"


class NotingClock(VirtualClock):
    """A clock that remembers for how long somebody slept."""

    def __init__(self, *, flowing: bool) -> None:
        super().__init__(flowing=flowing)
        self.slept: list[float] = []

    @override
    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await super().sleep(seconds)


def no_account(error: SemelError) -> Callable[[Write], SemelError | None]:
    """Return the objection of a table of accounts that takes nothing, or of the application's own row."""
    return lambda write: error if isinstance(write, Insert) and isinstance(write.record, Account) else None


class Noted:
    """Remembers what happened."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Mapping[str, object]]] = []

    def emit(self, name: str, fields: Mapping[str, str | int | float | Sequence[str]]) -> None:
        """See ``Events.emit``."""
        self.seen.append((name, dict(fields)))

    def named(self, name: str) -> list[Mapping[str, object]]:
        return [fields for seen, fields in self.seen if seen == name]


class CountingHasher(CheapHasher):
    """A cheap hasher that counts, and says that it is slow if it is to be thought so."""

    def __init__(self, *, slow: bool) -> None:
        super().__init__()
        self.slow = slow
        self.hashed = 0

    @override
    async def hash(self, password: Secret) -> str:
        self.hashed += 1
        return await super().hash(password)


class World:
    """One store and one provider: a remote one of this variant, or the embedded one where it is ``None``."""

    def __init__(
        self,
        variant: Variant | None = Variant.OWN,
        *,
        options: Options | None = None,
        slow: bool = False,
        flowing: bool = True,
    ) -> None:
        self.clock = NotingClock(flowing=flowing)
        self.memory = JudgingStore(self.clock.now)
        self.network = Network(STORE_OPERATIONS)
        self.store = FaultyStore(self.memory, self.network, self.clock)
        self.outside = Network(PROVIDER_OPERATIONS)
        self.provider = FakeProvider(variant or Variant.OWN, self.outside, self.clock)
        self.hasher = CountingHasher(slow=slow)
        self.embedded = EmbeddedPasswords(self.hasher) if variant is None else None
        self.options = options or Options()
        self.fingerprint_key = b"the key of the fingerprints"
        self._servers: dict[str, Server] = {}

    def server(self, name: str = "A") -> "Server":
        """Return the process of this name; all share the store and the provider, and nothing else."""
        return self._servers.setdefault(name, Server(self, name))

    def records(self, kind: type[R]) -> list[R]:
        return [record for record in self.memory.table.values() if isinstance(record, kind)]

    def one(self, kind: type[R]) -> R:
        """Return the only record of a type."""
        (record,) = self.records(kind)
        return record

    def left(self) -> Counter[str]:
        """Return how many there are of each kind and state, the outbox left out; and how many the provider has."""
        found = Counter(map(_described, self.memory.table.values()))
        del found["event"]
        return +(found + Counter({"at the provider": len(self.provider.state.identities)}))

    def condemned(self) -> Identity:
        """Return the only removal."""
        (record,) = [one for one in self.records(Identity) if one.state is IdentityState.CONDEMNED]
        return record

    async def abandoned(self, *, created: bool, **fields: object) -> Registration:
        """Let a worker die before its create, or with its identity created; return the registration it leaves."""
        if created:
            self.network.kill("commit", nth=2)
        else:
            self.outside.kill("create")
        with pytest.raises(Killed):
            await self.server("the dead").register(**fields)
        return self.one(Registration)

    async def after(self, seconds: float, call: Awaitable[T]) -> T:
        """Make a call a little later, while others are in the middle of theirs."""
        await self.clock.sleep(seconds)
        return await call

    def lease_over(self) -> None:
        """Let as much time pass as a lease and the allowed skew take."""
        self.clock.advance(self.options.lease + self.options.grace)

    def edit(self, *records: Record, gone: tuple[type[Record], Key] | None = None) -> None:
        """Write into the tables by hand, past every rule."""
        table = dict(self.memory.table)
        table.update({(record.TYPE, record.key): record for record in records})
        if gone is not None:
            del table[gone[0].TYPE, gone[1]]
        self.memory.table = table


def _described(record: Record) -> str:
    if isinstance(record, Registration | Identity):
        return f"{record.TYPE} {record.state}"
    if isinstance(record, Identifier):
        return f"{record.TYPE} {'owned' if record.owned else 'held'}"
    return record.TYPE


class Server:
    """One process: an engine of its own, and every door over it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.events = Noted()
        self.engine = Engine(
            world.store,
            world.embedded or world.provider,
            clock=world.clock,
            ids=SequentialIds(name),
            events=self.events,
            fingerprint_key=world.fingerprint_key,
            options=world.options,
        )
        self.registrar = Registrar(self.engine, Policy())
        self.upkeep = Upkeep(self.engine)

    async def register(self, **fields: object) -> Registered:
        """Sign up by email and password, or as the fields say otherwise."""
        return await self.registrar.register(msgspec.structs.replace(ASK, **fields))

    async def sign_in(self, email: str = EMAIL, password: Secret = PASSWORD) -> tuple[Account, Tokens]:
        return await SignInDoor(self.engine, self.world.provider, allow_special_use=False).sign_in(email, password)

    async def delete(self, account_id: str) -> None:
        await delete_account(self.engine, account_id)

    async def rest(self) -> None:
        """Run upkeep until every lease is over and every removal has ended."""
        options = self.world.options
        for seconds in (0.0, options.lease + options.grace, options.removal_horizon, options.removal_horizon):
            self.world.clock.advance(seconds)
            await self.upkeep.once()
