"""The wrappers around the ports: they keep every promise of what they wrap, and count what goes through them."""

import asyncio
import json
import subprocess
import sys

import pytest
from typing_extensions import override

from semel.errors import StoreUnavailable
from semel.model import Identity, Secret
from semel.observe import Metrics, ObservedStore, observed_provider, observed_store
from semel.ports import EmbeddedProvider, RemoteProvider, Sessions, Tidies
from semel.providers.embedded import EmbeddedPasswords
from semel.states import IdentityState
from semel.stores.memory import MemoryStore
from semel.testing import (
    STORE_OPERATIONS,
    CheapHasher,
    FakeProvider,
    Fault,
    FaultPlan,
    FaultyStore,
    FaultyTidyingStore,
    Variant,
    VirtualClock,
)
from semel.testing.provider_contract import PROVIDER_CONTRACT, ProviderBench, ProviderPromise
from semel.testing.sessions_contract import SESSIONS_CONTRACT
from semel.testing.store_contract import STORE_CONTRACT, Promise, StoreBench

IDENTITY = Identity(id="an id", state=IdentityState.OWNED)


@pytest.mark.parametrize("promise", STORE_CONTRACT)
async def test_a_watched_store_keeps_the_promise(promise: Promise) -> None:
    """All that the store in memory keeps."""
    watched = ObservedStore(MemoryStore(), Metrics(), VirtualClock())
    await promise(StoreBench(watched, watched))


class Untidy(MemoryStore):
    """A store in memory that can be tidied."""

    async def tidy(self) -> int:
        """See ``Tidies.tidy``."""
        return 3


async def test_a_watched_store_has_the_abilities_that_it_had() -> None:
    """One that can be tidied still can, and is watched at it; another cannot."""
    metrics, clock, untidy = Metrics(), VirtualClock(), Untidy()
    faulty = FaultyTidyingStore(untidy, untidy, FaultPlan(STORE_OPERATIONS), clock)
    watched = observed_store(faulty, metrics, clock)
    assert isinstance(watched, Tidies)
    assert await watched.tidy() == 3
    assert 'operation="tidy",outcome="ok"' in metrics.text().decode()
    assert not isinstance(observed_store(MemoryStore(), metrics, clock), Tidies)


@pytest.mark.parametrize("promise", [*PROVIDER_CONTRACT, *SESSIONS_CONTRACT])
async def test_a_watched_provider_keeps_the_promise(promise: ProviderPromise) -> None:
    """All that the fake one keeps, signing in included."""
    watched = observed_provider(FakeProvider(Variant.OWN), Metrics(), VirtualClock())
    assert isinstance(watched, RemoteProvider)
    await promise(ProviderBench(watched))


async def test_a_watched_embedded_provider_does_what_it_did() -> None:
    """Enrols, verifies, tells what is outdated, and how slow it is."""
    plain = EmbeddedPasswords(CheapHasher())
    watched = observed_provider(plain, Metrics(), VirtualClock())
    assert isinstance(watched, EmbeddedProvider)
    enrolled = await watched.enrol(IDENTITY, Secret("right"))
    assert enrolled == await plain.enrol(IDENTITY, Secret("right"))
    verified = [await watched.verify(one, Secret("right")) for one in (enrolled, IDENTITY, None)]
    assert (verified, watched.outdated(enrolled), watched.slow) == ([True, False, False], False, plain.slow)


class Waiting(CheapHasher):
    """A hasher that waits to be let."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    @override
    async def hash(self, password: Secret) -> str:
        await self.go.wait()
        return await super().hash(password)


async def test_passwords_that_wait_are_counted() -> None:
    """Those to be made and those to be verified, until they are."""
    metrics, hasher = Metrics(), Waiting()
    watched = observed_provider(EmbeddedPasswords(hasher), metrics, VirtualClock())
    assert isinstance(watched, EmbeddedProvider)
    working = [asyncio.create_task(watched.enrol(IDENTITY, Secret("x"))) for _ in range(2)]
    verifying = asyncio.create_task(watched.verify(None, Secret("x")))
    await asyncio.sleep(0)
    assert metrics.registry.get_sample_value("semel_hash_queue") == 3
    hasher.go.set()
    await asyncio.gather(verifying, *working)
    assert metrics.registry.get_sample_value("semel_hash_queue") == 0


class Locked:
    """A remote provider that signs nobody in."""

    def __init__(self, provider: FakeProvider) -> None:
        self.timeout = provider.timeout
        self.create, self.find, self.find_by_email = provider.create, provider.find, provider.find_by_email
        self.update, self.delete, self.page = provider.update, provider.delete, provider.page
        self.verify_password, self.close = provider.verify_password, provider.close


def test_a_watched_provider_has_the_same_abilities() -> None:
    """No fewer, and none that it has not."""
    embedded, signs_in, locked = EmbeddedPasswords(CheapHasher()), FakeProvider(), Locked(FakeProvider())
    for provider in (embedded, signs_in, locked):
        watched = observed_provider(provider, Metrics(), VirtualClock())
        for ability in (EmbeddedProvider, RemoteProvider, Sessions):
            assert isinstance(watched, ability) is isinstance(provider, ability)


async def test_calls_are_timed_by_operation_and_outcome() -> None:
    """A call that fails is timed as well, under the kind of its error."""
    metrics, clock, plan = Metrics(), VirtualClock(), FaultPlan(STORE_OPERATIONS)
    watched = ObservedStore(FaultyStore(MemoryStore(), plan, clock, delay=2.0), metrics, clock)
    plan.next("get", Fault.SLOW, Fault.DOWN)
    await watched.get(Identity, ("x",))
    with pytest.raises(StoreUnavailable):
        await watched.get(Identity, ("x",))

    def seconds(part: str, outcome: str) -> float | None:
        return metrics.registry.get_sample_value(
            f"semel_store_seconds_{part}", {"operation": "get", "outcome": outcome}
        )

    assert (seconds("count", "ok"), seconds("sum", "ok")) == (1, 2.0)
    assert seconds("count", "StoreUnavailable") == 1


async def test_a_providers_answers_are_its_outcomes() -> None:
    """They are values, not errors, and told apart all the same."""
    metrics = Metrics()
    watched = observed_provider(FakeProvider(), metrics, VirtualClock())
    assert isinstance(watched, RemoteProvider)
    await watched.find("nobody")
    await watched.verify_password("nobody", None, Secret("x"))
    for operation, outcome in (("find", "Absent"), ("verify_password", "absent")):
        labels = {"operation": operation, "outcome": outcome}
        assert metrics.registry.get_sample_value("semel_provider_seconds_count", labels) == 1


_TRACED = """
import asyncio
from contextlib import suppress

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from semel import Semel, Settings
from semel.errors import InvalidCredentials
from semel.stores.memory import MemoryStore


class Driver(MemoryStore):
    async def get(self, kind, key):
        with trace.get_tracer("driver").start_as_current_span("SELECT"):
            return await super().get(kind, key)


async def main() -> None:
    settings = Settings(_env_file=None, argon2_memory_kib=8, upkeep=False)
    async with Semel(settings, store=Driver()) as semel:
        with trace.get_tracer("application").start_as_current_span("a request"), suppress(InvalidCredentials):
            await semel.sign_in("nobody@gmail.com", "never to be seen")


spans = TracerProvider()
exporter = ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + "\\n")
spans.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(spans)
asyncio.run(main())
"""


def test_calls_are_spans_where_the_application_traces() -> None:
    """One span a call of a port, between the caller's own and the driver's, with the outcome and no value."""
    done = subprocess.run([sys.executable, "-c", _TRACED], capture_output=True, text=True, check=True)
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    request = next(span for span in printed if span["name"] == "a request")
    spans = [span for span in printed if span["context"]["trace_id"] == request["context"]["trace_id"]]
    ours = [span for span in spans if span["parent_id"] == request["context"]["span_id"]]
    assert [span["name"] for span in ours] == [*["semel.store.get"] * 3, "semel.provider.verify"]
    ids = [span["context"]["span_id"] for span in ours]
    assert [span["parent_id"] for span in spans if span["name"] == "SELECT"] == ids[:3]
    assert all(span["attributes"] == {"semel.outcome": "ok"} for span in ours)
    assert "never to be seen" not in done.stdout
    assert "nobody@gmail.com" not in done.stdout
