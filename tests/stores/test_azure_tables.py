"""What the store on Azure Tables promises besides the contract: what it costs, what it leaves, what it needs."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typing_extensions import override

from semel import Semel, Settings
from semel.errors import CommitUnknown, ConfigurationInvalid, StoreUnavailable, WriteRefused
from semel.model import Identifier, KeyRecord, Record, Registration
from semel.ports import Delete, Insert, Replace, Write
from semel.stores.azure_connect import open_azure_tables
from semel.stores.azure_tables import AzureTablesStore
from semel.stores.azure_url import CONNECTION_STRING
from semel.stores.migrate import migrate
from semel.system import SystemClock, SystemIds
from semel.testing import FaultyStore
from semel.testing.azure_faults import CHANGES, READINGS, AzureFault, AzureFaults
from semel.testing.store_contract import STORE_CONTRACT, Promise, StoreBench
from semel.testing.store_contract.races import RACES
from semel.testing.store_contract.samples import identifier, key, registration
from semel.testing.store_contract.writes import WRITES
from tests.emulators import Emulator
from tests.servers import environment
from tests.stores.azure_parts import AzureTable

HUSH = "hush-hush"
UPKEEP_QUERIES = 56
LOST = [
    AzureFault.TIMED_OUT_DONE,
    AzureFault.BROKEN_DONE,
    AzureFault.BUSY_DONE,
    AzureFault.GATEWAY_DONE,
    AzureFault.FAILED_DONE,
]
DROPPED = [AzureFault.TIMED_OUT, AzureFault.BROKEN, AzureFault.BUSY, AzureFault.GATEWAY, AzureFault.LATE]


def refused_once(faults: AzureFaults) -> None:
    """Whatever a reading meets it is asked again, a change where it was not read; pages end where they like."""
    faults.every(31, READINGS, AzureFault.BUSY, AzureFault.HELD_BACK, AzureFault.BROKEN)
    faults.every(29, CHANGES, AzureFault.HELD_BACK)
    faults.every(3, ["query"], AzureFault.EMPTY_PAGE)
    faults.every(2, ["query"], AzureFault.SHORT_PAGE)


@pytest.mark.parametrize("promise", [each for each in STORE_CONTRACT if each not in RACES])
async def test_what_can_be_repeated_shows_nowhere(promise: Promise, azure_table: AzureTable) -> None:
    """The contract where readings fail, pages are short or empty, and changes are held back."""
    faults = AzureFaults()
    refused_once(faults)
    async with azure_table.store(faults) as store, azure_table.store(faults) as another:
        await promise(StoreBench(store, another, azure_table.ids))
    assert faults.met


@pytest.mark.parametrize("promise", RACES[:2])
async def test_races_end_alike_where_requests_are_repeated(promise: Promise, azure_table: AzureTable) -> None:
    """One winner, and no error but the refusal."""
    faults = AzureFaults()
    faults.every(53, [*READINGS, *CHANGES], AzureFault.HELD_BACK)
    async with azure_table.store(faults) as store, azure_table.store(faults) as another:
        await promise(StoreBench(store, another, azure_table.ids))
    assert faults.met.total() > 10


@pytest.mark.parametrize("promise", WRITES)
async def test_a_lost_answer_shows_nowhere_if_it_is_found(promise: Promise, azure_table: AzureTable) -> None:
    """A journal, a mark, a decision, a record whose answer was lost: what they did is looked for and found."""
    faults = AzureFaults()
    faults.every(29, ["insert", "transaction", "replace"], *LOST)
    async with azure_table.store(faults) as store, azure_table.store(faults) as another:
        await promise(StoreBench(store, another, azure_table.ids))
    assert faults.met


class Trio:
    """A commit that replaces a record, inserts another and deletes a third, and what comes of it."""

    def __init__(self, table: AzureTable) -> None:
        ids = table.ids
        self.token = ids.token()
        self.before = [identifier(ids), key(ids)]
        self.inserted = registration(ids).but(due_at=datetime(2026, 1, 1, tzinfo=UTC))

    async def prepare(self, store: AzureTablesStore) -> None:
        token = SystemIds().token()
        await store.commit([Insert(each) for each in self.before], token)
        self.before = [each.but(version=token) for each in self.before]

    @property
    def writes(self) -> list[Write]:
        return [Replace(self.before[0]), Insert(self.inserted), Delete(self.before[1])]

    async def found(self, store: AzureTablesStore) -> bool:
        """Tell whether the commit happened; it did whole, or not at all."""
        seen = [
            await store.get(Identifier, self.before[0].key),
            await store.get(Registration, self.inserted.key),
            await store.get(KeyRecord, self.before[1].key),
        ]
        after = [self.before[0].but(version=self.token), self.inserted.but(version=self.token), None]
        assert seen in (after, [self.before[0], None, self.before[1]])
        return seen == after


@pytest.mark.parametrize("fault", [*LOST, *DROPPED], ids=lambda fault: fault.value)
@pytest.mark.parametrize(("operation", "nth"), [("transaction", 0), ("insert", 0), ("replace", 0), ("replace", 2)])
async def test_a_lost_request_or_answer_leaves_no_doubt(
    operation: str, nth: int, fault: AzureFault, azure_table: AzureTable
) -> None:
    """Of the journal, of either kind of mark, of the decision: done, or else surely not done, also by what is late."""
    faults, trio = AzureFaults(), Trio(azure_table)
    async with azure_table.store(faults) as store:
        await trio.prepare(store)
    async with azure_table.store(faults) as store, azure_table.store() as another:
        faults.next(operation, *[None] * nth, fault)
        try:
            await store.commit(trio.writes, trio.token)
        except StoreUnavailable:
            assert operation == "transaction"
            happened = False
        else:
            happened = True
        assert await trio.found(another) is happened
        await faults.land()
        assert await trio.found(another) is happened
        assert faults.spent


@pytest.mark.parametrize("done", [True, False])
async def test_a_decision_of_which_nothing_is_heard_is_unknown(azure_table: AzureTable, *, done: bool) -> None:
    """Nor of what would undo it: the commit says so, and the next who looks ends it, either way whole."""
    faults, trio = AzureFaults(), Trio(azure_table)
    async with azure_table.store() as store:
        await trio.prepare(store)
    async with azure_table.store(faults) as store:
        lost = AzureFault.TIMED_OUT_DONE if done else AzureFault.TIMED_OUT
        faults.next("replace", None, None, lost, *[AzureFault.TIMED_OUT] * 5)
        with pytest.raises(CommitUnknown):
            await store.commit(trio.writes, trio.token)
    async with azure_table.store() as another:
        assert await trio.found(another) is done
        await another.commit([Insert(key(azure_table.ids)), _over(trio, happened=done)], SystemIds().token())


def _over(trio: Trio, *, happened: bool) -> Write:
    record: Record = trio.before[0]
    return Replace(record.but(version=trio.token) if happened else record)


@pytest.mark.parametrize("change", [Replace, Delete])
async def test_a_single_write_of_which_nothing_is_heard_is_unknown(
    change: type[Replace | Delete], azure_table: AzureTable
) -> None:
    """It may come late; a delete leaves nothing by which it could be told."""
    faults = AzureFaults()
    async with azure_table.store(faults) as store:
        record, token = key(azure_table.ids), azure_table.ids.token()
        await store.commit([Insert(record)], token)
        faults.next("replace" if change is Replace else "delete", AzureFault.LATE)
        with pytest.raises(CommitUnknown):
            await store.commit([change(record.but(version=token))], azure_table.ids.token())
        await faults.land()
        found = await store.get(KeyRecord, record.key)
        assert (found is None) is (change is Delete)
        assert found is None or found.version != token


@pytest.mark.parametrize("operation", ["replace", "delete", "insert"])
async def test_a_rival_in_between_is_met_by_a_refusal(operation: str, azure_table: AzureTable) -> None:
    """Right before the one request of a commit another commit is made: the service itself refuses the first."""
    faults = AzureFaults()
    async with azure_table.store(faults) as store, azure_table.store() as another:
        record, token = key(azure_table.ids), azure_table.ids.token()
        if operation != "insert":
            await store.commit([Insert(record)], token)
            record = record.but(version=token)
        change: Mapping[str, Callable[[Record], Write]] = {"replace": Replace, "delete": Delete, "insert": Insert}
        theirs = Insert(record) if operation == "insert" else Replace(record)
        winner = azure_table.ids.token()
        faults.before(operation, lambda: another.commit([theirs], winner))
        with pytest.raises(WriteRefused) as refused:
            await store.commit([change[operation](record)], azure_table.ids.token())
        assert refused.value.positions == (0,)
        assert faults.spent
        assert await store.get(KeyRecord, record.key) == record.but(version=winner)


async def test_nothing_but_records_is_left(azure_table: AzureTable) -> None:
    """Once what goes on behind the answers has ended: no mark, no journal, a due row for what will be due."""
    trio = Trio(azure_table)
    async with azure_table.store() as store:
        await trio.prepare(store)
        await store.commit(trio.writes, trio.token)
        with pytest.raises(WriteRefused):
            await store.commit([Insert(key(azure_table.ids)), Insert(trio.inserted)], azure_table.ids.token())
    found = await azure_table.everything()
    assert [each.place.row.partition("!")[0] for each in found] == ["", "", "due"]
    assert not [each for each in found if "mark" in each.values]
    async with azure_table.store() as store:
        await store.commit([Delete(trio.inserted.but(version=trio.token))], azure_table.ids.token())
    assert len(await azure_table.everything()) == 1


class Noting(FaultyStore):
    """A store that notes what had been sent when it answered a commit."""

    def __init__(self, store: AzureTablesStore, faults: AzureFaults) -> None:
        super().__init__(store, lambda _: None, SystemClock())
        self._requests = faults
        self.before: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()

    @override
    async def commit(self, writes: Sequence[Write], token: int) -> None:
        self.before = self._requests.sent.copy()
        await super().commit(writes, token)
        self.answered = self._requests.sent - self.before


async def test_what_a_sign_up_costs(azure_table: AzureTable) -> None:
    """Each request is a transaction on the bill, as the how-to says; a look before a slow hash comes on top."""
    faults = AzureFaults()
    async with azure_table.store(faults) as store:
        noting = Noting(store, faults)
        cheap = Settings(_env_file=None, argon2_memory_kib=8, argon2_iterations=1, upkeep=False)
        async with Semel(cheap, store=noting) as semel:
            await semel.register(email="ada@gmail.com", password="correct horse battery")
    behind = faults.sent - noting.before - noting.answered
    assert noting.answered == {"transaction": 1, "insert": 5, "replace": 1}
    assert behind == {"replace": 5, "delete": 1}


async def test_what_a_pass_of_upkeep_costs_where_nothing_is_due(azure_table: AzureTable) -> None:
    """The partitions of what is due, for each type that a duty looks after, and those of journals."""
    faults = AzureFaults()
    async with azure_table.store(faults) as store:
        cheap = Settings(_env_file=None, argon2_memory_kib=8, argon2_iterations=1, upkeep=False)
        async with Semel(cheap, store=store) as semel:
            before = faults.sent.copy()
            assert (await semel.upkeep_once())["tidy"] == 0
    assert (faults.sent - before)["query"] == UPKEEP_QUERIES


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("azure-tables:semel", "azure-tables:///table or"),
        ("azure-tables:///", "3 to 63 letters and digits"),
        ("azure-tables:///se", "3 to 63 letters and digits"),
        ("azure-tables:///1semel", "begins with a letter"),
        ("azure-tables:///semel-accounts", "3 to 63 letters and digits"),
        ("azure-tables:///tables", "is not tables"),
        ("azure-tables:///semel/more", "3 to 63 letters and digits"),
        (f"azure-tables:///semel?key={HUSH}", "and no more"),
        (f"azure-tables://account:{HUSH}@account.table.core.windows.net/semel", "and no more"),
        (f"azure-tables://[{HUSH}/semel", "no valid host"),
        ("azure-tables://account/semel", "its host is the account's"),
        ("azure-tables://account.table.core.windows.net:443/semel", "without a port"),
        ("azure-tables://account.table.cosmos.azure.com/semel", "Cosmos"),
        ("azure-tables://Account.Table.Cosmos.Azure.com/semel", "Cosmos"),
    ],
)
async def test_a_wrong_url_says_what_is_right(url: str, says: str) -> None:
    """And quotes nothing of it, to whoever opens and to whoever migrates."""
    for refused in (opened(url), migrate(url)):
        with pytest.raises(ConfigurationInvalid, match=says) as invalid:
            await refused
        assert HUSH not in repr(invalid.value)
        assert invalid.value.__suppress_context__ or invalid.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is missing"),
        (HUSH, "is malformed"),
        (f"AccountName={HUSH};AccountKey=abcde;TableEndpoint=http://127.0.0.1:1/{HUSH};", "is malformed"),
        (f"DefaultEndpointsProtocol=https;AccountName={HUSH}", "is malformed"),
        (f"AccountName=a;AccountKey={HUSH}a==;TableEndpoint=https://a.table.cosmos.azure.com:443/;", "Cosmos"),
        (f"AccountName=a;AccountKey={HUSH}a==;TableEndpoint=https://a.table.COSMOS.azure.com:443/;", "Cosmos"),
    ],
)
async def test_a_wrong_connection_string_says_what_to_do(text: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And quotes nothing of it."""
    monkeypatch.setenv(CONNECTION_STRING, text)
    with pytest.raises(ConfigurationInvalid, match=says) as invalid:
        await opened("azure-tables:///semel")
    assert CONNECTION_STRING in invalid.value.detail or says == "Cosmos"
    assert HUSH not in f"{invalid.value!r}"
    assert invalid.value.__suppress_context__ or invalid.value.__context__ is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"AZURE_TOKEN_CREDENTIALS": HUSH},
        {"AZURE_TENANT_ID": f"{HUSH}!"},
        {"AZURE_AUTHORITY_HOST": f"http://{HUSH}"},
        {"AZURE_CLIENT_SECRET": "", "AZURE_CLIENT_CERTIFICATE_PATH": f"/{HUSH}"},
        {"AZURE_CLIENT_SECRET": ""},
    ],
)
def test_a_wrong_credential_stops_the_start_with_one_line(tmp_path: Path, wrong: dict[str, str]) -> None:
    """Nobody asks the network: the SDK sees by itself that it cannot sign in so."""
    right = {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_SECRET": HUSH}
    only = {"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}
    variables = environment("azure-tables://account.table.core.windows.net/semel") | only | right | wrong
    command = [str(Path(sys.executable).with_name("semel")), "user", "list"]
    ended = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith("semel: configuration_invalid: Microsoft Entra ID ")
    assert HUSH not in ended.stderr


async def test_a_wrong_key_is_refused_at_the_start(
    azure_environment: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the service, whose code is told."""
    text = azure_environment.variables[CONNECTION_STRING]
    monkeypatch.setenv(CONNECTION_STRING, text.replace("AccountKey=", "AccountKey=abcd"))
    for refused in (opened("azure-tables:///semel"), migrate("azure-tables:///semel")):
        with pytest.raises(ConfigurationInvalid, match="refuses the credential"):
            await refused


async def test_without_a_token_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Microsoft Entra ID is asked for one; at the start its absence is said, later the store is not available."""
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    url = "azure-tables://account.table.core.windows.net/semel"
    with pytest.raises(ConfigurationInvalid, match="AZURE_CLIENT_ID"):
        await opened(url)
    faults = AzureFaults()
    async with AzureTable(url).entities(faults) as entities:
        with pytest.raises(StoreUnavailable, match="credential"):
            await entities.insert("here", {"": {}})
    assert not faults.sent


async def test_a_missing_table_says_what_to_run(azure_environment: Emulator) -> None:
    """Any number of processes may run it, again and at once."""
    url = azure_environment.new_url()
    with pytest.raises(ConfigurationInvalid, match="semel migrate"):
        await opened(url)
    made = await asyncio.gather(*(migrate(url) for _ in range(5)))
    assert sorted(each.before or "" for each in made) == ["", "1", "1", "1", "1"]
    await (await opened(url)).close()


async def opened(url: str) -> AzureTablesStore:
    return await open_azure_tables(url, clock=SystemClock(), jitter=SystemIds().jitter)
