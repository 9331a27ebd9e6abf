"""Keys are made once, whoever starts; kept wrapped; rotated by one of many servers, while old tokens still verify."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

import pytest
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet
from typing_extensions import override

from semel.errors import ConfigurationInvalid, StoreUnavailable
from semel.keys import ALGORITHM, KeyOptions, Keys, Purpose
from semel.model import Key, KeyRecord, Record, Secret
from semel.ports import Delete, Insert, Replace, Store
from semel.stores.memory import MemoryStore
from semel.testing.clock import SequentialIds, VirtualClock
from semel.testing.faults import STORE_OPERATIONS, Fault, FaultPlan
from semel.testing.stores import FaultyStore

R = TypeVar("R", bound=Record)

SECRET = Secret("an operator's secret, 32 characters or more")
DAY = 86_400.0


class Servers:
    """Some servers over one store, each with ids of its own; every call of the store lets the others run."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.clock = VirtualClock()
        self.faults = FaultPlan(STORE_OPERATIONS)
        self.store: Store = FaultyStore(self.memory, self.faults, self.clock, delay=0.001)
        self.faults.always(Fault.SLOW)
        self._started = 0

    async def start(self, secret_key: Secret | None = None, rotate_after: float = 90 * DAY) -> Keys:
        self._started += 1
        options = KeyOptions(secret_key=secret_key, rotate_after=rotate_after)
        return await Keys.open(self.store, self.clock, SequentialIds(f"server {self._started}"), options)

    def records(self) -> dict[str, KeyRecord]:
        return {one.id: one for one in self.memory.table.values() if isinstance(one, KeyRecord)}

    async def rotate(self, servers: Sequence[Keys]) -> int:
        """Let all servers do the duty at once; return how many made a key."""
        return sum(await asyncio.gather(*(server.rotate(self.clock.now()) for server in servers)))


@pytest.fixture
def servers() -> Servers:
    return Servers()


def token_of(keys: Keys) -> str:
    header = {"alg": ALGORITHM, "kid": keys.signing.current.kid}
    return jwt.encode(header, {"sub": "somebody"}, keys.signing.current, algorithms=[ALGORITHM])


def reads(keys: Keys, token: str) -> bool:
    try:
        return jwt.decode(token, keys.signing.verifying, algorithms=[ALGORITHM]).claims == {"sub": "somebody"}
    except InvalidKeyIdError:
        return False


def held(keys: Keys) -> tuple[object, ...]:
    return (keys.signing.current.kid, *(keys.secret(purpose) for purpose in Purpose))


async def test_servers_that_start_at_once_share_their_keys(servers: Servers) -> None:
    """Each proposes its own; the insert decides, and all use the winner's."""
    started = await asyncio.gather(*(servers.start() for _ in range(10)))
    assert len({held(keys) for keys in started}) == 1
    assert sorted(servers.records()) == [
        "fingerprint/1",
        "invitation/1",
        "limits/1",
        "link/1",
        "newest/signing",
        "proof/1",
        "refresh/1",
        "signing/1",
    ]
    assert held(await servers.start()) == held(started[0])


async def test_each_purpose_has_a_secret_of_its_own(servers: Servers) -> None:
    """256 bits each, and none twice."""
    keys = await servers.start()
    assert len({keys.secret(purpose) for purpose in Purpose}) == len(Purpose)
    assert all(len(keys.secret(purpose)) * 6 >= 256 for purpose in Purpose)


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE])
async def test_a_lost_answer_makes_no_second_key(servers: Servers, fault: Fault) -> None:
    """What was read from the store is used, never what was merely sent, whenever that lands."""
    servers.faults.next("commit", fault, fault, fault)
    first = await servers.start()
    assert isinstance(servers.store, FaultyStore)
    await servers.store.land()
    assert held(await servers.start()) == held(first)


async def test_a_store_that_loses_every_commit_stops_the_start(servers: Servers) -> None:
    """No key is used that is not kept."""
    servers.faults.always(Fault.DROP, "commit")
    with pytest.raises(StoreUnavailable):
        await servers.start()
    assert not servers.records()


async def test_keys_are_wrapped_at_rest(servers: Servers) -> None:
    """Nothing of them can be read in the store, and a server with the same secret starts again with the same keys."""
    keys = await servers.start(SECRET)
    at_rest = repr(servers.records())
    private = str(keys.signing.current.as_dict(private=True)["d"])
    for secret in (private, *(keys.secret(purpose).decode() for purpose in Purpose), SECRET.reveal()):
        assert secret not in at_rest
    assert all(record.wrapped for record in servers.records().values())
    assert held(await servers.start(SECRET)) == held(keys)


@pytest.mark.parametrize("secret_key", [None, Secret("another secret of 32 characters or more")], ids=["none", "wrong"])
async def test_without_the_operators_secret_nothing_starts(servers: Servers, secret_key: Secret | None) -> None:
    """One clear line that names the setting, no key made in place of the one that cannot be read, no secret shown."""
    await servers.start(SECRET)
    before = servers.records()
    with pytest.raises(ConfigurationInvalid, match="SEMEL_SECRET_KEY") as caught:
        await servers.start(secret_key)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert servers.records() == before


async def test_a_secret_given_later_wraps_the_keys_there_are(servers: Servers) -> None:
    """The same keys, from now on wrapped; servers starting at once do not get in each other's way."""
    bare = await servers.start()
    started = await asyncio.gather(*(servers.start(SECRET) for _ in range(3)))
    assert {held(keys) for keys in started} == {held(bare)}
    assert all(record.wrapped for record in servers.records().values())
    assert held(await servers.start(SECRET)) == held(bare)


async def test_a_wrapped_key_cannot_stand_in_for_another(servers: Servers) -> None:
    """Who can write to the store cannot make a known secret out of an unknown one by swapping rows."""
    await servers.start(SECRET)
    records = servers.records()
    swapped = records["fingerprint/1"].but(secret=records["refresh/1"].secret)
    await servers.memory.commit([Replace(swapped)], token=1)
    with pytest.raises(ConfigurationInvalid, match="fingerprint/1"):
        await servers.start(SECRET)


async def test_a_record_that_is_no_wrapped_key_is_told_apart(servers: Servers) -> None:
    """Rubbish in the column is a clear line as well, not an error of a library."""
    await servers.start(SECRET)
    await servers.memory.commit([Replace(servers.records()["signing/1"].but(secret="???"))], token=1)
    with pytest.raises(ConfigurationInvalid, match="signing/1"):
        await servers.start(SECRET)


async def test_rotation_waits_for_its_time(servers: Servers) -> None:
    """A key signs until it is as old as the setting says."""
    keys = await servers.start(rotate_after=30 * DAY)
    first = keys.signing.current.kid
    servers.clock.advance(30 * DAY - 60)
    assert not await keys.rotate(servers.clock.now())
    assert keys.signing.current.kid == first
    servers.clock.advance(60)
    assert await keys.rotate(servers.clock.now())
    assert keys.signing.current.kid != first


async def test_the_previous_key_still_verifies(servers: Servers) -> None:
    """Tokens outlive one rotation; after the next one their key is gone, from the store too."""
    keys = await servers.start(SECRET, rotate_after=DAY)
    oldest = token_of(keys)
    servers.clock.advance(DAY)
    await keys.rotate(servers.clock.now())
    older = token_of(keys)
    assert reads(keys, oldest)
    servers.clock.advance(DAY)
    await keys.rotate(servers.clock.now())
    assert [reads(keys, token) for token in (oldest, older, token_of(keys))] == [False, True, True]
    assert sorted(servers.records()) == [
        "fingerprint/1",
        "invitation/1",
        "limits/1",
        "link/1",
        "newest/signing",
        "proof/1",
        "refresh/1",
        "signing/2",
        "signing/3",
    ]


async def test_one_of_many_servers_rotates(servers: Servers) -> None:
    """All do the duty at once, round after round: one new key each round, and all sign with it."""
    started = [await servers.start(rotate_after=DAY) for _ in range(5)]
    for number in range(2, 5):
        servers.clock.advance(DAY)
        assert await servers.rotate(started) == 1
        assert len({keys.signing.current.kid for keys in started}) == 1
        assert f"signing/{number}" in servers.records()
    assert len(servers.records()) == 9


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.LATE])
async def test_a_rotation_whose_answer_is_lost_is_done_by_the_next_pass(servers: Servers, fault: Fault) -> None:
    """Whether it happened, or not, or happens later: all end up with the same two keys."""
    one, other = [await servers.start(rotate_after=DAY) for _ in range(2)]
    before = token_of(one)
    servers.clock.advance(DAY)
    servers.faults.next("commit", fault)
    await one.rotate(servers.clock.now())
    await other.rotate(servers.clock.now())
    assert isinstance(servers.store, FaultyStore)
    await servers.store.land()
    await servers.rotate([one, other])
    assert one.signing.current.kid == other.signing.current.kid
    assert reads(other, token_of(one))
    assert reads(other, before)
    assert sorted(servers.records())[-2:] == ["signing/1", "signing/2"]


async def test_a_key_that_another_server_made_is_looked_for(servers: Servers) -> None:
    """A token signed with it is good at once, on every server; all that ask at the same time share one reading."""
    one, other = [await servers.start(rotate_after=DAY) for _ in range(2)]
    servers.clock.advance(DAY)
    await one.rotate(servers.clock.now())
    kid = one.signing.current.kid
    assert kid is not None
    assert not other.signing.known(kid)
    servers.faults.next("get", Fault.SLOW, Fault.DOWN)
    assert await asyncio.gather(*(other.knows(kid) for _ in range(5))) == [True] * 5
    assert reads(other, token_of(one))


async def test_made_up_keys_do_not_reach_the_store(servers: Servers) -> None:
    """At most one reading an interval; and a reading that failed does not count."""
    keys = await servers.start()
    servers.faults.always(Fault.DOWN, "get")
    assert not await keys.knows("made up")
    servers.clock.advance(5)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await keys.knows("made up")
    servers.faults.lift()
    assert not await keys.knows("made up")
    servers.faults.always(Fault.DOWN, "get")
    assert not await keys.knows("made up")


async def test_made_up_keys_make_nobody_wait(servers: Servers) -> None:
    """While the store is asked for one, however slow it is, whoever has a known one goes on."""
    keys = await servers.start()
    servers.clock.advance(5)
    kid = keys.signing.current.kid
    assert kid is not None
    asking = asyncio.ensure_future(keys.knows("made up"))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(keys.knows(kid), None)
    assert not asking.done()
    assert not await asking


class Hanging(MemoryStore):
    """A store that, once it hangs, lets every reading wait in vain, five seconds long."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        self.hangs = False

    @override
    async def get(self, kind: type[R], key: Key) -> R | None:
        if self.hangs:
            await self.clock.sleep(5)
            raise StoreUnavailable
        return await super().get(kind, key)


async def test_who_waited_for_a_reading_that_failed_waits_for_no_other() -> None:
    """All that ask for made-up keys meanwhile fail together; whoever asks afterwards has it looked for anew."""
    clock = VirtualClock()
    store = Hanging(clock)
    keys = await Keys.open(store, clock, SequentialIds("server"))
    clock.advance(5)
    store.hangs = True
    told = await asyncio.gather(*(keys.knows(f"made up {n}") for n in range(20)), return_exceptions=True)
    assert [type(each) for each in told] == [StoreUnavailable] * 20
    assert clock.monotonic() == 10
    store.hangs = False
    assert not await keys.knows("made up")


async def test_the_published_keys_are_public_and_verify(servers: Servers) -> None:
    """Another party reads tokens by the document alone, which has no private part."""
    keys = await servers.start(rotate_after=DAY)
    older = token_of(keys)
    servers.clock.advance(DAY)
    await keys.rotate(servers.clock.now())
    document = json.loads(json.dumps(keys.signing.jwks()))
    assert [sorted(key) for key in document["keys"]] == [["alg", "crv", "kid", "kty", "use", "x", "y"]] * 2
    assert not any(key.is_private for key in keys.signing.verifying)
    theirs = KeySet.import_key_set(document)
    for token in (older, token_of(keys)):
        assert jwt.decode(token, theirs, algorithms=[ALGORITHM]).claims == {"sub": "somebody"}


async def test_deleting_the_signing_keys_revokes_them(servers: Servers) -> None:
    """An operator's way out after a theft: the next pass makes a key that shares nothing with the stolen one."""
    keys = await servers.start()
    stolen = token_of(keys)
    await servers.memory.commit([Delete(servers.records()["signing/1"])], token=1)
    assert not await keys.rotate(servers.clock.now())
    assert not reads(keys, stolen)
    assert reads(keys, token_of(keys))


async def test_nobody_goes_through_the_store_for_keys(servers: Servers) -> None:
    """The first start of a store does; no other start, no rotation, nobody who asks for an unknown key."""
    keys = await servers.start(rotate_after=DAY)
    servers.faults.always(Fault.DOWN, "page")
    for _ in range(3):
        servers.clock.advance(DAY)
        assert not await keys.knows("made up")
        assert await keys.rotate(servers.clock.now())
        assert held(await servers.start()) == held(keys)
    assert held(await servers.start(SECRET)) == held(keys)
    assert all(record.wrapped for record in servers.records().values())


async def older(servers: Servers) -> None:
    """Make the store one of a release that knew no pointer, with more in it than a page takes."""
    strange = [
        KeyRecord(id=f"other/{n}", algorithm="?", secret="?", wrapped=False, created_at=servers.clock.now())
        for n in range(250)
    ]
    found = servers.records()["newest/signing"]
    await servers.memory.commit([Delete(found), *map(Insert, strange)], token=1)


async def test_an_older_store_is_gone_through_once(servers: Servers) -> None:
    """What other versions left in the table does not hide our keys, and the next start finds them named."""
    keys = await servers.start(rotate_after=DAY)
    servers.clock.advance(DAY)
    await keys.rotate(servers.clock.now())
    await older(servers)
    started = await asyncio.gather(*(servers.start() for _ in range(5)))
    assert {held(each) for each in started} == {held(keys)}
    servers.faults.always(Fault.DOWN, "page")
    assert held(await servers.start()) == held(keys)


@pytest.mark.parametrize("rounds", [1, 2, 3])
async def test_keys_of_an_older_release_are_followed(servers: Servers, rounds: int) -> None:
    """While it runs beside this one it makes keys that nothing names: they are found, and rotation goes on."""
    keys = await servers.start(rotate_after=DAY)
    named = servers.records()["newest/signing"]
    for _ in range(rounds):
        servers.clock.advance(DAY)
        assert await keys.rotate(servers.clock.now())
    written = servers.records()["newest/signing"]
    await servers.memory.commit([Replace(named.but(version=written.version))], token=1)
    other = await servers.start(rotate_after=DAY)
    assert held(other) == held(keys)
    assert len(list(other.signing.verifying)) == 2
    servers.clock.advance(DAY)
    assert await servers.rotate([keys, other]) == 1
    assert held(other) == held(keys)
    assert sorted(servers.records())[-2:] == [f"signing/{rounds + 1}", f"signing/{rounds + 2}"]


@pytest.mark.parametrize("text", ["", "?", "-1", "0", "7"])
async def test_a_pointer_that_was_edited_hides_no_key(servers: Servers, text: str) -> None:
    """It names no number, or that of no key: the keys are found all the same, and the next one is named again."""
    keys = await servers.start(rotate_after=DAY)
    edited = servers.records()["newest/signing"].but(secret=text)
    await servers.memory.commit([Replace(edited)], token=1)
    assert held(await servers.start()) == held(keys)
    servers.clock.advance(DAY)
    assert await keys.rotate(servers.clock.now())
    assert servers.records()["newest/signing"].secret == "2"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"secret_key": Secret("short")}, "secret_key"),
        ({"rotate_after": 0.0}, "rotate_after"),
        ({"reload_interval": -1.0}, "reload_interval"),
    ],
)
def test_options_that_make_no_sense_stop_the_start(options: dict[str, object], names: str) -> None:
    """The error names the option, and does not show the secret."""
    with pytest.raises(ConfigurationInvalid, match=names) as caught:
        KeyOptions(**options)  # type: ignore[arg-type]
    assert "short" not in str(caught.value)


async def test_nothing_shows_a_secret_by_accident(servers: Servers) -> None:
    """Neither options nor keys have it in what a log line would print of them."""
    keys = await servers.start(SECRET)
    shown = f"{KeyOptions(secret_key=SECRET)!r} {keys!r} {keys.signing!r} {keys.signing.current!r} {vars(keys.signing)}"
    private = keys.signing.current.as_dict(private=True)["d"]
    assert SECRET.reveal() not in shown
    assert str(private) not in shown


async def test_retired_signing_keys_sort_by_number(servers: Servers) -> None:
    """Ten comes after nine, not after one."""
    keys = await servers.start(rotate_after=timedelta(hours=1).total_seconds())
    for _ in range(10):
        servers.clock.advance(3600)
        assert await keys.rotate(servers.clock.now())
    assert sorted(servers.records())[-2:] == ["signing/10", "signing/11"]
