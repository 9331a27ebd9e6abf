"""Commits on DynamoDB of which nobody knows what came: they are unknown, and never refused because of themselves."""

import asyncio

import pytest
from aiobotocore.session import AioSession
from botocore.exceptions import ChecksumError

from semel.errors import CommitUnknown, StoreUnavailable, WriteRefused
from semel.model import KeyRecord
from semel.ports import Delete, Insert, Ref, Write
from semel.stores.dynamodb_errors import UnforeseenError, commit_error, read_error, sdk_errors_alone
from semel.testing.aws_faults import AwsFault, AwsFaults
from semel.testing.clock import SequentialIds
from semel.testing.store_contract.samples import key, registration
from tests.emulators import Emulator
from tests.proxy import Proxy
from tests.stores.dynamodb_parts import opened

IDS = SequentialIds("dynamodb in doubt")


# ── Lost answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "done"),
    [
        (AwsFault.LOST, True),
        (AwsFault.BROKEN, True),
        (AwsFault.GARBLED, True),
        (AwsFault.DROPPED, False),
        (AwsFault.UNAVAILABLE, False),
    ],
)
async def test_a_lost_answer_is_unknown_and_nothing_is_sent_again(
    dynamodb_url: str, fault: AwsFault, *, done: bool
) -> None:
    """Whether it was done or not: one write, several, or a delete."""
    faults, another, standing, token = AwsFaults(jitter=IDS.jitter), key(IDS), key(IDS), IDS.token()
    alone, pair = key(IDS), (key(IDS), registration(IDS))
    commits: dict[str, list[Write]] = {
        "PutItem": [Insert(alone)],
        "DeleteItem": [Delete(standing.but(version=token))],
        "TransactWriteItems": [Insert(each) for each in pair],
    }
    async with opened(dynamodb_url, faults.session()) as store:
        await store.commit([Insert(standing), Insert(another)], token)
        before = faults.sent.copy()
        for operation, writes in commits.items():
            faults.next(operation, fault)
            with pytest.raises(CommitUnknown):
                await store.commit(writes, IDS.token())
            assert faults.sent[operation] - before[operation] == 1
        refs = [Ref(type(each), each.key) for each in (alone, standing, *pair)]
        found = [record is not None for record in await store.get_many(refs)]
    assert found == ([True, False, True, True] if done else [False, True, False, False])
    assert faults.met[fault] == 3


@pytest.mark.parametrize("cut", ["cut_before_request", "cut_after_request", "reset_after_request", "cut_before_answer"])
async def test_a_connection_that_breaks_is_unknown(
    dynamodb_url: str, monkeypatch: pytest.MonkeyPatch, dynamodb: Emulator, cut: str
) -> None:
    """Also where the SDK says that it could not connect: it does so of a connection that was reset halfway."""
    async with Proxy("127.0.0.1", dynamodb.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{proxy.port}")
        async with opened(dynamodb_url) as store:
            before = proxy.round_trips
            getattr(proxy, cut)()
            with pytest.raises(CommitUnknown):
                await store.commit([Insert(key(IDS))], 1)
            assert proxy.round_trips == before + 1


async def test_nobody_there_is_unavailable(
    dynamodb_url: str, monkeypatch: pytest.MonkeyPatch, dynamodb: Emulator
) -> None:
    """Nothing was sent, so nothing was changed."""
    async with Proxy("127.0.0.1", dynamodb.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{proxy.port}")
        async with opened(dynamodb_url) as store:
            await proxy.down()
            await asyncio.sleep(0)
            with pytest.raises(StoreUnavailable):
                await store.get(KeyRecord, ("k",))
            with pytest.raises(StoreUnavailable):
                await store.commit([Insert(key(IDS))], 1)
        with pytest.raises(StoreUnavailable):
            async with opened(dynamodb_url):
                pass


async def test_a_look_whose_connection_broke_is_taken_once_more(dynamodb_url: str) -> None:
    """Whoever was idle for long has such connections. A time-out is not waited for twice."""
    faults = AwsFaults(jitter=IDS.jitter)
    async with opened(dynamodb_url, faults.session()) as store:
        for fault in (AwsFault.BROKEN, AwsFault.UNAVAILABLE):
            faults.next("TransactGetItems", fault)
            assert await store.get(KeyRecord, ("k",)) is None
            faults.next("TransactGetItems", fault, fault)
            with pytest.raises(StoreUnavailable):
                await store.get(KeyRecord, ("k",))
        faults.next("TransactGetItems", AwsFault.LOST)
        with pytest.raises(StoreUnavailable):
            await store.get(KeyRecord, ("k",))
    assert faults.sent["TransactGetItems"] == 2 * 2 * 2 + 1


# ── Requests that came twice ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_that_is_under_way_already_is_asked_after_by_its_own_token(dynamodb_url: str) -> None:
    """A proxy sent it twice. By another token it would be refused because of itself."""
    faults = AwsFaults(jitter=IDS.jitter)
    records, token = (key(IDS), key(IDS)), IDS.token()
    async with opened(dynamodb_url, faults.session()) as store:
        faults.next("TransactWriteItems", AwsFault.IN_PROGRESS)
        await store.commit([Insert(record) for record in records], token)
        found = await store.get_many([Ref(KeyRecord, record.key) for record in records])
    assert found == [record.but(version=token) for record in records]
    assert (faults.met[AwsFault.IN_PROGRESS], faults.sent["TransactWriteItems"]) == (1, 2)


async def test_a_refusal_by_itself_is_no_refusal(dynamodb_url: str) -> None:
    """Where the service has forgotten the token, the request that went before is what stands in the way."""
    faults = AwsFaults(jitter=IDS.jitter)
    records, token = (key(IDS), key(IDS)), IDS.token()
    async with opened(dynamodb_url, faults.session()) as store:
        faults.next("TransactWriteItems", AwsFault.IN_PROGRESS, AwsFault.FORGOTTEN)
        with pytest.raises(CommitUnknown):
            await store.commit([Insert(record) for record in records], token)
    assert faults.met == {AwsFault.IN_PROGRESS: 1, AwsFault.FORGOTTEN: 1}


async def test_what_is_under_way_already_is_never_refused_because_of_itself(dynamodb_url: str) -> None:
    """Whatever else comes in between. Where nothing tells what came of it, it is unknown."""
    faults, token = AwsFaults(jitter=IDS.jitter), IDS.token()
    async with opened(dynamodb_url, faults.session()) as store:
        writes = [Insert(key(IDS)), Insert(key(IDS))]
        faults.next("TransactWriteItems", AwsFault.IN_PROGRESS, AwsFault.THROTTLED)
        await store.commit(writes, token)
        assert await store.get(KeyRecord, writes[0].record.key) == writes[0].record.but(version=token)
        faults.next("TransactWriteItems", AwsFault.IN_PROGRESS, *[AwsFault.THROTTLED] * 14)
        with pytest.raises(CommitUnknown):
            await store.commit([Insert(key(IDS)), Insert(key(IDS))], IDS.token())


async def test_what_is_under_way_already_is_unknown_where_no_connection_comes_free(dynamodb_url: str) -> None:
    """Others may take all connections before it can ask what came of it."""
    faults, sending, go_on = AwsFaults(jitter=IDS.jitter), asyncio.Event(), asyncio.Event()
    session = faults.session()

    async def wait(**_: object) -> None:
        await go_on.wait()

    session.register("before-call.dynamodb.TransactGetItems", wait)
    session.register("before-call.dynamodb.TransactWriteItems", lambda **_: sending.set())
    faults.next("TransactWriteItems", AwsFault.IN_PROGRESS)
    async with opened(dynamodb_url, session) as store:
        commit = asyncio.create_task(store.commit([Insert(key(IDS)), Insert(key(IDS))], IDS.token()))
        await sending.wait()
        others = [asyncio.create_task(store.get(KeyRecord, key(IDS).key)) for _ in range(50)]
        with pytest.raises(CommitUnknown):
            await commit
        go_on.set()
        await asyncio.gather(*others)


async def test_all_tries_of_a_commit_have_one_token(dynamodb_url: str) -> None:
    """Any of them may have come twice, unnoticed. Of two commits that delete the same, each has its own."""
    session, tokens = (faults := AwsFaults(jitter=IDS.jitter)).session(), []
    session.register(
        "before-parameter-build.dynamodb.TransactWriteItems",
        lambda params, **_: tokens.append(params["ClientRequestToken"]),
    )
    records, token = (key(IDS), key(IDS)), IDS.token()
    async with opened(dynamodb_url, session) as store:
        faults.next("TransactWriteItems", AwsFault.THROTTLED, AwsFault.THROTTLED)
        await store.commit([Insert(record) for record in records], token)
        assert (len(tokens), len(set(tokens))) == (3, 1)
        deletes = [Delete(record.but(version=token)) for record in records]
        await store.commit(deletes, IDS.token())
        with pytest.raises(WriteRefused):
            await store.commit(deletes, IDS.token())


# ── What nobody foresaw ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", [ChecksumError(checksum_type="", expected_checksum="", actual_checksum="")])
def test_what_nobody_foresaw_leaves_a_commit_in_doubt(error: Exception) -> None:
    """The SDK's own errors that are not listed, and what it lets through, as its parser does of what is no text."""
    assert type(commit_error(error, [0])) is CommitUnknown
    with pytest.raises(UnforeseenError) as raised, sdk_errors_alone():
        b"\xff".decode()
    assert type(commit_error(raised.value, [0])) is CommitUnknown
    assert type(read_error(raised.value)) is StoreUnavailable


async def test_an_error_of_nobodys_leaves_a_commit_in_doubt(dynamodb_url: str) -> None:
    """Wherever it comes from within the SDK; a look is told that the store is away."""
    session, record, token = AioSession(), key(IDS), IDS.token()

    def stumble(**_: object) -> None:
        b"\xff".decode()

    session.register("after-call.dynamodb.PutItem", stumble)
    session.register("after-call.dynamodb.Scan", stumble)
    async with opened(dynamodb_url, session) as store:
        with pytest.raises(CommitUnknown):
            await store.commit([Insert(record)], token)
        assert await store.get(KeyRecord, record.key) == record.but(version=token)
        with pytest.raises(StoreUnavailable):
            await store.page(KeyRecord, None, 1)
