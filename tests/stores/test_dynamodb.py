"""What the DynamoDB store promises besides the contract: its table, its limits, its errors, what it costs."""

import asyncio
import traceback
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from semel.errors import (
    CommitUnknown,
    ConfigurationInvalid,
    InvalidInput,
    StoreInconsistent,
    StoreRejected,
    StoreUnavailable,
    WriteRefused,
)
from semel.model import RECORD_TYPES, Identity, KeyRecord, SessionFamily
from semel.ports import Delete, Insert, Page, Ref, Replace, Write
from semel.stores.dynamodb_errors import commit_error, read_error
from semel.stores.dynamodb_items import REVISION, as_item, shards
from semel.stores.migrate import migrate
from semel.stores.schema import Migrated, fields
from semel.testing.aws_faults import AwsFault, AwsFaults
from semel.testing.clock import SequentialIds
from semel.testing.store_contract.samples import WHEN, bare, family, identifier, identity, key, registration
from tests.stores.dynamodb_parts import opened, sdk, table

IDS = SequentialIds("dynamodb")


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_table_is_made_once_however_many_make_it(new_dynamodb_url: str) -> None:
    """And making it again changes nothing."""
    together = await asyncio.gather(*(migrate(new_dynamodb_url) for _ in range(4)))
    assert {made.after for made in together} == {REVISION}
    assert await migrate(new_dynamodb_url) == Migrated(REVISION, REVISION)
    async with sdk(new_dynamodb_url) as client:
        told = await client.describe_time_to_live(TableName=table(new_dynamodb_url))
    assert told["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


async def test_the_first_migration_is_told_from_the_second(new_dynamodb_url: str) -> None:
    """Whoever ran it sees that it did something."""
    assert await migrate(new_dynamodb_url) == Migrated(None, REVISION)


async def test_a_half_made_table_is_finished(new_dynamodb_url: str) -> None:
    """The first migration may die before it has said what expires."""
    await migrate(new_dynamodb_url)
    async with sdk(new_dynamodb_url) as client:
        await client.update_time_to_live(
            TableName=table(new_dynamodb_url), TimeToLiveSpecification={"Enabled": False, "AttributeName": "expires"}
        )
        assert await migrate(new_dynamodb_url) == Migrated(None, REVISION)
        told = await client.describe_time_to_live(TableName=table(new_dynamodb_url))
    assert told["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"


async def test_what_expires_by_something_else_is_left_alone(new_dynamodb_url: str) -> None:
    """It is somebody's."""
    await migrate(new_dynamodb_url)
    async with sdk(new_dynamodb_url) as client:
        for enabled, name in ((False, "expires"), (True, "gone_at")):
            await client.update_time_to_live(
                TableName=table(new_dynamodb_url), TimeToLiveSpecification={"Enabled": enabled, "AttributeName": name}
            )
    with pytest.raises(ConfigurationInvalid, match="expire by another attribute"):
        await migrate(new_dynamodb_url)


async def test_a_table_of_another_shape_is_refused(new_dynamodb_url: str) -> None:
    """By the store, and by the migration, which leaves it as it is."""
    async with sdk(new_dynamodb_url) as client:
        await client.create_table(
            TableName=table(new_dynamodb_url),
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        )
    with pytest.raises(ConfigurationInvalid, match="is not one that `semel migrate` made"):
        await migrate(new_dynamodb_url)
    with pytest.raises(ConfigurationInvalid, match="is not one that `semel migrate` made"):
        async with opened(new_dynamodb_url):
            pass


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("AWS_DEFAULT_REGION", None, "NoRegionError"),
        ("AWS_SECRET_ACCESS_KEY", None, "PartialCredentialsError"),
        ("AWS_ACCESS_KEY_ID", None, "NoCredentialsError"),
        ("AWS_PROFILE", "nobody", "ProfileNotFound"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "hush", "no URL of an endpoint"),
        ("AWS_CA_BUNDLE", "/hush", r"FileNotFoundError\): AWS_CA_BUNDLE"),
        ("AWS_CA_BUNDLE", __file__, r"SSLError\): AWS_CA_BUNDLE"),
    ],
)
async def test_a_setting_of_the_sdk_that_is_wrong_stops_the_start(
    dynamodb_url: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, says: str
) -> None:
    """With one line that says what to give."""
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationInvalid, match=says) as refused:
        async with opened(dynamodb_url):
            pass
    assert "hush" not in "".join(traceback.format_exception(refused.value))


async def test_a_region_is_named_by_the_url_or_by_either_variable(
    dynamodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL's comes first."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    named = dynamodb_url.replace(":///", "://eu-west-1/")
    async with opened(named), sdk(named) as client:
        assert client.meta.region_name == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    session = AioSession()
    session.set_config_variable("region", "eu-south-1")
    async with sdk(dynamodb_url, session) as client:
        assert client.meta.region_name == "eu-south-1"
    async with opened(dynamodb_url), sdk(dynamodb_url) as client, sdk(named) as other:
        assert (client.meta.region_name, other.meta.region_name) == ("eu-north-1", "eu-west-1")


async def test_a_table_that_is_not_there_is_to_be_migrated(new_dynamodb_url: str) -> None:
    """So says the start. One that goes later is no setting any more."""
    with pytest.raises(ConfigurationInvalid, match="semel migrate"):
        async with opened(new_dynamodb_url):
            pass
    await migrate(new_dynamodb_url)
    async with opened(new_dynamodb_url) as store, sdk(new_dynamodb_url) as client:
        await client.delete_table(TableName=table(new_dynamodb_url))
        for request in (store.commit([Insert(key(IDS))], IDS.token()), store.get(KeyRecord, ("k",)), store.ping()):
            with pytest.raises(StoreRejected, match="ResourceNotFoundException"):
                await request


# ── Items ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_column_meets_an_attribute_of_the_table() -> None:
    """``due_at`` alone is both: it is the index's range key."""
    assert not {"pk", "due_shard", "expires"} & {field.name for kind in RECORD_TYPES for field in fields(kind)}


def test_only_sessions_expire_by_themselves() -> None:
    """Everything else is waited for by somebody; and they do so a week after upkeep could have ended them."""
    items = {type(record): as_item(record, 1) for record in family(IDS)}
    assert {kind for kind, item in items.items() if "expires" in item} == {SessionFamily}
    (session,) = (record for record in family(IDS) if isinstance(record, SessionFamily))
    expires = int(as_item(session, 1)["expires"]["N"])
    assert expires == int(session.expires_at.timestamp()) + 7 * 86_400


def test_what_is_never_due_is_not_in_the_index() -> None:
    """It is sparse: an item without its keys costs nothing there."""
    for record in family(IDS):
        assert "due_shard" in as_item(record, 1)
        assert not {"due_shard", "due_at"} & as_item(bare(record), 1).keys()


def test_what_is_due_is_spread_over_the_shards() -> None:
    """Evenly, and where the key alone says."""
    found = [as_item(identity(IDS).but(due_at=WHEN), 1)["due_shard"]["S"] for _ in range(400)]
    assert set(found) == set(shards(Identity))
    assert min(map(found.count, shards(Identity))) > 20


async def test_an_edited_item_is_told(dynamodb_url: str) -> None:
    """And nothing of what stands in it."""
    record = key(IDS, "algorithm")
    async with opened(dynamodb_url) as store, sdk(dynamodb_url) as client:
        for edited in ({"version": {"N": "1.5"}}, {"created_at": {"S": "hush"}}, {"wrapped": {"NULL": True}}):
            item: Any = {**as_item(record, 1), **edited}
            await client.put_item(TableName=table(dynamodb_url), Item=item)
            with pytest.raises(StoreInconsistent) as told:
                await store.get(KeyRecord, record.key)
            assert "hush" not in str(told.value)


# ── Commits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refusal_of_one_write_names_it(dynamodb_url: str) -> None:
    """A write that stands alone is no transaction."""
    faults = AwsFaults(jitter=IDS.jitter)
    async with opened(dynamodb_url, faults.session()) as store:
        record = key(IDS)
        await store.commit([Insert(record)], 1)
        for write in (Insert(record), Replace(record), Delete(record)):
            with pytest.raises(WriteRefused) as refused:
                await store.commit([write], 2)
            assert refused.value.positions == (0,)
        await store.commit([Delete(record.but(version=1))], 3)
    assert (faults.sent["PutItem"], faults.sent["DeleteItem"], faults.sent["TransactWriteItems"]) == (3, 2, 0)


async def test_every_refused_write_of_a_transaction_is_named(dynamodb_url: str) -> None:
    """The service tells of all."""
    async with opened(dynamodb_url) as store:
        records, token = [key(IDS) for _ in range(5)], IDS.token()
        await store.commit([Insert(record) for record in records], token)
        writes: list[Write] = [Replace(record.but(version=token if at > 1 else 1)) for at, record in enumerate(records)]
        with pytest.raises(WriteRefused) as refused:
            await store.commit(writes[::-1], IDS.token())
        assert refused.value.positions == (3, 4)


async def test_a_hundred_writes_are_one_commit_and_more_are_refused(dynamodb_url: str) -> None:
    """The service's limit."""
    async with opened(dynamodb_url) as store:
        writes = [Insert(key(IDS)) for _ in range(101)]
        with pytest.raises(StoreRejected, match="100 writes"):
            await store.commit(writes, IDS.token())
        await store.commit(writes[1:], IDS.token())
        found = await store.get_many([Ref(KeyRecord, write.record.key) for write in writes])
    assert [record is not None for record in found] == [False] + [True] * 100


async def test_a_record_that_is_too_large_is_rejected(dynamodb_url: str) -> None:
    """Alone and in a transaction, and the rest of it with it. Nothing of it is said."""
    large, small = key(IDS, "hush" * 110_000), registration(IDS)
    async with opened(dynamodb_url) as store:
        for writes in ([Insert(large)], [Insert(small), Insert(large)]):
            with pytest.raises(StoreRejected) as rejected:
                await store.commit(writes, IDS.token())
            assert "hush" not in "".join(traceback.format_exception(rejected.value))
        assert await store.get_many([Ref(KeyRecord, large.key), Ref(type(small), small.key)]) == [None, None]


async def test_what_no_key_can_hold_is_rejected_and_absent(dynamodb_url: str) -> None:
    """More than 2048 bytes, or half a surrogate pair."""
    async with opened(dynamodb_url) as store:
        for name in ("é" * 1024, "\ud800"):
            record = identifier(IDS, name)
            with pytest.raises(StoreRejected):
                await store.commit([Insert(record)], 1)
            assert await store.get(type(record), record.key) is None
        with pytest.raises(StoreRejected):
            await store.commit([Insert(key(IDS, "\ud800"))], 1)


async def test_no_write_is_no_commit(dynamodb_url: str) -> None:
    """And no request."""
    faults = AwsFaults(jitter=IDS.jitter)
    async with opened(dynamodb_url, faults.session()) as store:
        await store.commit([], 1)
        assert await store.get_many([]) == []
    assert faults.sent.total() == 1


@pytest.mark.parametrize("cursor", ["", "{}", "[]", '["a","b"]', f'["{"a" * 3000}"]', "hush", '["\ud800"]'])
async def test_a_cursor_of_nobodys_is_refused(dynamodb_url: str, cursor: str) -> None:
    """An empty one is none."""
    async with opened(dynamodb_url) as store:
        if not cursor:
            assert (await store.page(KeyRecord, cursor, 1)).records == ()
            return
        with pytest.raises(InvalidInput):
            await store.page(KeyRecord, cursor, 1)


async def test_a_page_goes_on_where_nothing_was_left(dynamodb_url: str) -> None:
    """The service ends a page after a megabyte, also of records of another type."""
    faults = AwsFaults(AwsFault.SMALL_PAGES, AwsFault.SHUFFLED, jitter=IDS.jitter)
    records = [key(IDS) for _ in range(3)]
    async with opened(dynamodb_url, faults.session()) as store:
        await store.commit([Insert(record) for record in (*records, *(registration(IDS) for _ in range(40)))], 1)
        page = await store.page(KeyRecord, None, 10)
    assert {record.key for record in page.records} == {record.key for record in records}
    assert page.cursor is None
    assert faults.met[AwsFault.SMALL_PAGES] > 10


async def test_all_that_is_due_is_looked_at_however_little_at_once(dynamodb_url: str) -> None:
    """The service answers a batch in part."""
    faults = AwsFaults(AwsFault.SMALL_PAGES, jitter=IDS.jitter)
    records = [identity(IDS).but(due_at=WHEN) for _ in range(12)]
    async with opened(dynamodb_url, faults.session()) as store:
        await store.commit([Insert(record) for record in records], 1)
        assert len(await store.due(Identity, WHEN, 100)) == 12
    assert faults.sent["BatchGetItem"] > 3


async def test_a_page_of_no_records_leads_to_where_it_began(dynamodb_url: str) -> None:
    """It is no error, and passes over nothing."""
    async with opened(dynamodb_url) as store:
        await store.commit([Insert(key(IDS)) for _ in range(3)], IDS.token())
        cursor = (await store.page(KeyRecord, None, 1)).cursor
        assert await store.page(KeyRecord, None, 0) == Page((), None)
        assert cursor is not None
        assert await store.page(KeyRecord, cursor, 0) == Page((), cursor)


async def test_the_time_is_that_of_the_answer(dynamodb_url: str) -> None:
    """The service's header has seconds; the middle of one is never more than half a second off."""
    async with opened(dynamodb_url) as store:
        assert (await store.ping()).microsecond == 500_000


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def answered(code: str, *reasons: str, status: int = 400) -> ClientError:
    """Return the SDK's error for an answer of the service."""
    said: Any = {"Error": {"Code": code, "Message": "hush"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    if reasons:
        said["CancellationReasons"] = [{"Code": reason, "Message": "hush"} for reason in reasons]
    return ClientError(said, "AnyOperation")


CANCELLED = "TransactionCanceledException"


ANSWERS: list[tuple[ClientError, type[Exception]]] = [
    (answered("ProvisionedThroughputExceededException"), StoreUnavailable),
    (answered("ThrottlingException"), StoreUnavailable),
    (answered("TransactionConflictException"), StoreUnavailable),
    (answered(CANCELLED, "None", "TransactionConflict"), StoreUnavailable),
    (answered(CANCELLED, "ThrottlingError", "TransactionConflict"), StoreUnavailable),
    (answered(CANCELLED, "TransactionConflict", "ConditionalCheckFailed"), WriteRefused),
    (answered(CANCELLED, "ValidationError", "None"), StoreRejected),
    (answered(CANCELLED), StoreRejected),
    (answered("TransactionInProgressException"), CommitUnknown),
    (answered("IdempotentParameterMismatchException"), StoreRejected),
    (answered("ValidationException"), StoreRejected),
    (answered("AccessDeniedException"), StoreRejected),
    (answered("ResourceNotFoundException"), StoreRejected),
    (answered("ExpiredTokenException"), StoreUnavailable),
    (answered("SomethingNew"), StoreRejected),
    (answered("InternalServerError", status=500), CommitUnknown),
    (answered("SomethingNew", status=503), CommitUnknown),
]


@pytest.mark.parametrize(("error", "kind"), ANSWERS, ids=range(len(ANSWERS)))
def test_every_answer_has_its_error(error: ClientError, kind: type[Exception]) -> None:
    """And the service's own message, which may show a value, is in none."""
    met = commit_error(error, [0, 1])
    assert type(met) is kind
    assert "hush" not in f"{met}{read_error(error)}"
    if isinstance(met, WriteRefused):
        assert met.positions == (1,)


@pytest.mark.parametrize(
    "profile",
    [
        "credential_process = /nowhere",
        "credential_process = /bin/echo hush",
        "role_arn = arn:aws:iam::123456789012:role/any\nweb_identity_token_file = /nowhere",
    ],
)
async def test_credentials_that_cannot_be_read_stop_the_start(
    dynamodb_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str
) -> None:
    """What finds them raises whatever it likes; it is one line all the same, of the store and of the migration."""
    (tmp_path / "config").write_text(f"[profile any]\n{profile}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "any")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(ConfigurationInvalid, match="finds no way"):
        async with opened(dynamodb_url):
            pass
    with pytest.raises(ConfigurationInvalid, match="finds no way"):
        await migrate(dynamodb_url)


async def test_what_is_always_throttled_is_given_up(dynamodb_url: str) -> None:
    """As unavailable: nothing was changed."""
    faults, record = AwsFaults(jitter=IDS.jitter), key(IDS)
    async with opened(dynamodb_url, faults.session()) as store:
        faults.next("PutItem", *[AwsFault.THROTTLED] * 15)
        with pytest.raises(StoreUnavailable, match="busy"):
            await store.commit([Insert(record)], 1)
        assert await store.get(KeyRecord, record.key) is None
    assert faults.sent["PutItem"] == 15


async def test_all_that_is_due_is_found_in_one_look_whatever_the_pages(dynamodb_url: str) -> None:
    """A page of the index may end early, and a batch may be done in part."""
    faults = AwsFaults(AwsFault.SMALL_PAGES, jitter=IDS.jitter)
    async with opened(dynamodb_url, faults.session()) as store:
        await store.commit([Insert(identity(IDS).but(due_at=WHEN)) for _ in range(60)], IDS.token())
        assert len(await store.due(Identity, WHEN, 100)) == 60
    assert faults.met[AwsFault.SMALL_PAGES] > 2 * len(shards(Identity))


async def test_plain_reads_of_records_are_strongly_consistent(dynamodb_url: str) -> None:
    """An emulator's are in any case, so the requests are looked at."""
    asked: dict[str, dict[str, Any]] = {}
    session = AioSession()
    session.register("before-parameter-build.dynamodb", lambda params, model, **_: asked.update({model.name: params}))
    async with opened(dynamodb_url, session) as store:
        await store.commit([Insert(identity(IDS).but(due_at=WHEN))], 1)
        await store.due(Identity, WHEN, 1)
        await store.page(Identity, None, 1)
    assert asked["Scan"]["ConsistentRead"] is True
    (batch,) = asked["BatchGetItem"]["RequestItems"].values()
    assert batch["ConsistentRead"] is True


async def test_a_batch_that_is_never_done_ends(dynamodb_url: str) -> None:
    """Also where each of many answers did a little of it."""
    session, left = AioSession(), [f"identity#{at}" for at in range(20)]

    def answer(**_: object) -> tuple[Any, dict[str, Any]]:
        del left[2:3]
        keys = [{"pk": {"S": name}} for name in left]
        return SimpleNamespace(status_code=200), {
            "Responses": {},
            "UnprocessedKeys": {table(dynamodb_url): {"Keys": keys}},
        }

    session.register("before-call.dynamodb.BatchGetItem", answer)
    async with opened(dynamodb_url, session) as store, asyncio.timeout(30):
        await store.commit([Insert(identity(IDS).but(due_at=WHEN)) for _ in range(20)], IDS.token())
        assert await store.due(Identity, WHEN, 20) == []


async def test_a_stale_index_never_gives_what_is_due_no_more(dynamodb_url: str) -> None:
    """Whatever it says is looked at."""
    faults = AwsFaults(AwsFault.STALE_INDEX, jitter=IDS.jitter)
    record = identity(IDS).but(due_at=WHEN)
    async with opened(dynamodb_url, faults.session()) as store:
        await store.commit([Insert(record)], 1)
        looks = [await store.due(Identity, WHEN, 10) for _ in range(3)]
        assert [len(look) for look in looks] == [0, 0, 1]
        await store.commit([Replace(record.but(version=1, due_at=WHEN + timedelta(days=1)))], 2)
        assert [await store.due(Identity, WHEN, 10) for _ in range(2)] == [[], []]
    assert faults.met[AwsFault.STALE_INDEX] == 5 * len(shards(Identity))
