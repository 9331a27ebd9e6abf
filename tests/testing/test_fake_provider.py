"""The fake remote provider: its faults, whose identities it takes for ours, and what it keeps of passwords."""

import msgspec
import pytest

from semel.model import Secret
from semel.ports import Absent, Done, Exists, Found, NewIdentity, Rejected, Unknown, Verified
from semel.testing import PROVIDER_OPERATIONS, FakeProvider, Fault, FaultPlan, Variant, VirtualClock
from semel.testing.clock import START

ADA = NewIdentity("0190b0a4-0000-7000-8000-000000000001", "ada@example.org", Secret("Enchantress"), confirmed=True)


@pytest.fixture
def plan() -> FaultPlan:
    return FaultPlan(PROVIDER_OPERATIONS)


@pytest.mark.parametrize(("fault", "done"), [(Fault.LOSE, True), (Fault.DROP, False), (Fault.DOWN, False)])
async def test_a_create_without_answer_is_unknown(fault: Fault, done: bool, plan: FaultPlan) -> None:  # noqa: FBT001
    """Whether it was done depends on the fault, and the caller cannot tell."""
    provider = FakeProvider(faults=plan)
    plan.next("create", fault)
    assert isinstance(await provider.create(ADA), Unknown)
    assert isinstance(await provider.find(ADA.id), Found) is done


async def test_a_late_create_lands_when_it_is_let(plan: FaultPlan) -> None:
    """After a delete that found nothing, say; it lands once."""
    provider = FakeProvider(faults=plan)
    plan.next("create", Fault.LATE)
    assert isinstance(await provider.create(ADA), Unknown)
    assert await provider.delete(ADA.id) == Done()
    provider.land()
    assert isinstance(await provider.find(ADA.id), Found)
    await provider.delete(ADA.id)
    provider.land()
    assert await provider.find(ADA.id) == Absent()


async def test_a_create_done_twice_is_answered_exists(plan: FaultPlan) -> None:
    """The answer that arrives is the second one's, though the first one made it."""
    provider = FakeProvider(faults=plan)
    plan.next("create", Fault.TWICE)
    assert await provider.create(ADA) == Exists()
    assert await provider.verify_password(ADA.id, ADA.email, Secret("Enchantress")) is Verified.RIGHT


async def test_a_refusal_is_rejected_where_the_port_knows_that(plan: FaultPlan) -> None:
    """Of a create; elsewhere it says nothing that can be relied on."""
    provider = FakeProvider(faults=plan)
    plan.always(Fault.REFUSE)
    assert isinstance(await provider.create(ADA), Rejected)
    assert isinstance(await provider.delete(ADA.id), Unknown)
    assert await provider.verify_password(ADA.id, ADA.email, Secret("x")) is Verified.UNKNOWN


async def test_a_slow_answer_takes_half_the_time_out(plan: FaultPlan) -> None:
    """So it comes in time."""
    clock = VirtualClock()
    provider = FakeProvider(faults=plan, clock=clock, timeout=6.0)
    plan.next("find", Fault.SLOW)
    assert await provider.find(ADA.id) == Absent()
    assert clock.monotonic() == 3


async def test_who_is_down_says_when_to_come_back(plan: FaultPlan) -> None:
    """Every operation is unknown while it lasts, and counted."""
    provider = FakeProvider(faults=plan)
    plan.always(Fault.DOWN)
    answers = [await provider.find(ADA.id), await provider.find_by_email("x"), await provider.sign_out(Secret("x"))]
    assert [isinstance(answer, Unknown) and answer.retry_after for answer in answers] == [1.0] * 3
    assert provider.calls == {"find": 1, "find_by_email": 1, "sign_out": 1}


@pytest.mark.parametrize("variant", Variant)
async def test_a_planted_identity_is_somebodys(variant: Variant) -> None:
    """It is found by its email under the provider's id, and takes the email from a create of ours."""
    provider = FakeProvider(variant)
    provider_id = provider.plant("ada@example.org", Secret("hers"))
    assert await provider.create(ADA) == Exists()
    assert await provider.find(ADA.id) == Absent()
    found = await provider.find_by_email("ada@example.org")
    assert found == Found(provider_id, provider_id, ADA.email, confirmed=True, created_at=START)
    assert await provider.verify_password(ADA.id, ADA.email, Secret("hers")) is Verified.ABSENT


@pytest.mark.parametrize("label", ["{}", "{}.", "{}.00", "copied"])
async def test_a_forged_marker_is_somebodys(label: str) -> None:
    """Neither our id in the place of a marker, nor a signature that is none, nor the marker of another email counts."""
    provider = FakeProvider(Variant.MARKER)
    await provider.create(ADA)
    (ours,) = provider.state.identities
    forged = ours.label if label == "copied" else label.format(ADA.id)
    provider_id = provider.plant("eve@example.org", label=forged)
    found = await provider.find(ADA.id)
    assert found == Found(ours.provider_id, ADA.id, ADA.email, confirmed=True, created_at=START)
    found = await provider.find_by_email("eve@example.org")
    assert found == Found(provider_id, provider_id, "eve@example.org", confirmed=True, created_at=START)


async def test_a_name_is_taken_with_the_named_variant_alone() -> None:
    """Somebody who has our id as a name keeps us out there; with a marker only the email does."""
    for variant, answer in ((Variant.NAMED, Exists), (Variant.MARKER, Done)):
        provider = FakeProvider(variant)
        provider.plant("eve@example.org", label=ADA.id)
        assert isinstance(await provider.create(ADA), answer)


async def test_a_marker_needs_an_email() -> None:
    """The HMAC is over both, so an identity without an email is refused for good; the other variants take several."""
    nameless = msgspec.structs.replace(ADA, email=None)
    assert await FakeProvider(Variant.MARKER).create(nameless) == Rejected(
        "this provider takes no identity without an email", "email"
    )
    provider = FakeProvider()
    for identity_id in ("a", "b"):
        assert await provider.create(msgspec.structs.replace(nameless, id=identity_id)) == Done()


async def test_the_state_is_a_value() -> None:
    """Kept and put back it is the provider of that moment; it can be hashed, and holds no password and no token."""
    provider = FakeProvider()
    empty = provider.state
    await provider.create(ADA)
    signed_in = await provider.sign_in("ada@example.org", Secret("Enchantress"))
    full = provider.state
    tokens = msgspec.structs.astuple(signed_in.tokens)[:2] if not isinstance(signed_in, Absent | Unknown) else ()
    assert len(tokens) == 2
    assert not [secret for secret in ("Enchantress", *tokens) if secret in repr(full)]
    provider.state = empty
    assert await provider.find(ADA.id) == Absent()
    assert len({empty, full, provider.state}) == 2
