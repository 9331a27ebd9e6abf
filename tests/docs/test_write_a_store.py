"""The page on writing a store, followed to the letter; and its sample store, broken on purpose and by its disk."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import importlib.util
import re
import shlex
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from hashlib import sha256
from itertools import count
from pathlib import Path
from threading import get_ident
from types import ModuleType
from uuid import uuid4

import httpx
import pytest

from semel.errors import (
    CommitUnknown,
    ConfigurationInvalid,
    InvalidInput,
    StoreError,
    StoreInconsistent,
    StoreRejected,
    StoreUnavailable,
)
from semel.model import Account, Identity, Record
from semel.ports import Delete, Insert, Ref, Replace, Store, Write
from semel.states import IdentityState
from semel.system import SystemClock
from semel.testing.invariants import Snapshot, at_rest, records_of
from semel.testing.store_contract import STORE_CONTRACT
from tests.docs.how_to import HowTo, explored
from tests.servers import Server, Servers, environment
from tests.services import free_port

PAGE = HowTo.read("../write-a-store")
COMMANDS = [block.code.strip() for block in PAGE.blocks if block.language == "bash"]

KEPT, REPLACED, DELETED, INSERTED = (Identity(id=str(at), state=IdentityState.HELD) for at in range(4))
REFS = [Ref(Identity, one.key) for one in (KEPT, REPLACED, DELETED, INSERTED)]
BEFORE: list[Record | None] = [KEPT.but(version=1), REPLACED.but(version=1), DELETED.but(version=1), None]
AFTER: list[Record | None] = [KEPT.but(version=1), REPLACED.but(version=2), None, INSERTED.but(version=2)]
WRITES: list[Write] = [Replace(REPLACED.but(version=1)), Delete(DELETED.but(version=1)), Insert(INSERTED)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with the page's files."""
    PAGE.write_files(tmp_path)
    return tmp_path


def run(directory: Path, command: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the page there."""
    program, *arguments = shlex.split(command)
    words = [str(Path(sys.executable).with_name(program)), *arguments, *more]
    return subprocess.run(words, cwd=directory, env=variables(), capture_output=True, text=True, check=False)


def variables() -> dict[str, str]:
    """Return the environment of the page: it names no database."""
    found = environment("")
    del found["SEMEL_DATABASE_URL"]
    return found


def command(beginning: str) -> str:
    (found,) = [one for one in COMMANDS if one.startswith(beginning)]
    return found


def broken(directory: Path, guard: str, instead: str, times: int = 1) -> None:
    """Take a guard out of the store."""
    file = directory / "json_store.py"
    text = file.read_text()
    assert text.count(guard) == times, guard
    file.write_text(text.replace(guard, instead))


def load(directory: Path) -> ModuleType:
    """Import the store as it is there."""
    spec = importlib.util.spec_from_file_location("json_store", directory / "json_store.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def opened(module: ModuleType, path: Path, disk: object = None) -> Store:
    """Return a store over this disk, or over a real one."""
    store: Store = module.JsonStore(path, SystemClock().now, disk)
    return store


async def prepared(module: ModuleType, path: Path, disk: object = None) -> Store:
    """Make a file with some records in it, and return a store over this disk."""
    module.JsonFile(path, module.Disk()).create()
    await opened(module, path).commit([Insert(KEPT), Insert(REPLACED), Insert(DELETED)], 1)
    return opened(module, path, disk)


class Watched:
    """The sample's disk, before and after each of whose steps somebody looks."""

    def __init__(self, disk: object, look: Callable[[str], None]) -> None:
        self._disk = disk
        self._look = look

    def __getattr__(self, name: str) -> Callable[..., object]:
        step = getattr(self._disk, name)

        def watched(*args: Path | bytes) -> object:
            self._look(f"before {name}")
            done: object = step(*args)
            self._look(f"after {name}")
            return done

        return watched


# ── As the page says ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(300)
def test_the_tests_of_the_page(directory: Path) -> None:
    """The contract, processes, lost answers and kills pass, and none of them is left out."""
    done = run(directory, command("python -m pytest"))
    assert done.returncode == 0, done.stdout
    assert f"{len(STORE_CONTRACT) + 1 + 4 + 1} passed" in done.stdout


GUARDS = {
    "condition": (
        "if (stored.version if stored else None) != expected:",
        "if stored is None and expected is not None:",
        ["an_insert_of_a_key_that_exists_is_refused", "a_replace_of_another_version_is_refused"],
    ),
    "places": (
        "raise WriteRefused(tuple(refused))",
        "raise WriteRefused()",
        ["a_refusal_names_only_refused_writes_and_at_least_one"],
    ),
    "lock": (
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        ["no_update_is_lost", "test_keeps_it_between_processes"],
    ),
    "place": ('f"{path.name}.new"', "path.name", ["test_killed_between_any_two_steps"]),
}


@pytest.mark.parametrize(("guard", "instead", "tests"), GUARDS.values(), ids=GUARDS)
def test_a_guard_of_the_page_is_needed(guard: str, instead: str, tests: list[str], directory: Path) -> None:
    """Without it the page's own tests fail, and the line names the promise."""
    broken(directory, guard, instead)
    done = run(directory, command("python -m pytest"), "-k", " or ".join(tests))
    failed = set(re.findall(r"^FAILED .*?(\w+)\]?(?: - .*)?$", done.stdout, re.MULTILINE))
    assert failed == set(tests), done.stdout


def test_the_explorer_of_the_page(directory: Path) -> None:
    """The engine over the sample's conditions is exhausted; over an insert that overwrites it is not."""
    reports = explored(directory, "explored:scenarios")
    assert len(reports) > 20
    assert all(report["exhausted"] for report in reports.values())
    broken(directory, "if (stored.version if stored else None) != expected:", "if stored is None and expected:")
    reports = explored(directory, "explored:scenarios", "embedded/fresh/key+rival")
    assert not any(report["exhausted"] for report in reports.values())


def test_the_library_of_the_page(directory: Path) -> None:
    """The program makes an account, once."""
    assert run(directory, command("python json_store.py")).returncode == 0
    first, again = (run(directory, "python library.py") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout


async def test_the_server_of_the_page(servers: Servers, directory: Path) -> None:
    """Twenty people want one email of two servers: one account, nineteen refusals, and the same answer again."""
    assert run(directory, command("python json_store.py")).returncode == 0
    bodies = [{"name": f"N {at}", "email": "ann@lovelace.org", "password": servers.secret()} for at in range(20)]
    headers = [{"Idempotency-Key": str(uuid4())} for _ in bodies]
    with ExitStack() as running:
        started = [running.enter_context(_started(servers, directory)) for _ in range(2)]
        for server in started:
            server.wait("/readyz")
        async with httpx.AsyncClient(timeout=60) as client:
            rounds = [
                await asyncio.gather(
                    *(
                        client.post(f"{started[(at + turn) % 2].url}/api/auth/signup", json=body, headers=header)
                        for at, (body, header) in enumerate(zip(bodies, headers, strict=True))
                    )
                )
                for turn in range(2)
            ]
    for answers in rounds:
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
        assert {answer.json().get("code") for answer in answers} == {None, "user_already_exists"}
    (first,), (again,) = ([one.json() for one in answers if one.status_code == 201] for answers in rounds)
    assert first["user_id"] == again["user_id"]
    store = await load(directory).open_json(directory / "accounts.json")
    records = await records_of(store)
    assert [record.key for record in records if isinstance(record, Account)] == [(first["user_id"],)]
    assert at_rest(Snapshot(records=records, secrets=tuple(body["password"] for body in bodies))) == []


def _started(servers: Servers, directory: Path) -> AbstractContextManager[Server]:
    port = free_port()
    program, *rest = shlex.split(command("uvicorn"))
    words = [str(Path(sys.executable).with_name(program)), *rest, "--port", str(port)]
    return servers.process(words, port, variables(), directory)


# ── The power is cut ─────────────────────────────────────────────────────────────────────────────────────────────────


class Safe:
    """A disk that knows what a power cut would leave of a directory: the contents and the names that were synced."""

    def __init__(self, module: ModuleType, directory: Path) -> None:
        self._disk = module.Disk()
        self._directory = directory
        self._contents: dict[int, bytes] = {}
        self.names: dict[str, bytes] = {}
        self.sync(directory / "accounts.json")
        self.sync(directory)

    def __getattr__(self, name: str) -> Callable[..., object]:
        step: Callable[..., object] = getattr(self._disk, name)
        return step

    def sync(self, path: Path) -> None:
        self._disk.sync(path)
        if path == self._directory:
            self.names = {one.name: self._contents.get(one.stat().st_ino, b"") for one in path.iterdir()}
        else:
            self._contents[path.stat().st_ino] = path.read_bytes()


class Cut:
    """Cuts the power at every step of a commit; at each one somebody reads first, and must not have read too much."""

    def __init__(self, directory: Path, module: ModuleType) -> None:
        self._directory = directory
        self._module = module
        self._path = directory / "data" / "accounts.json"
        self._numbers = count()
        self.steps: list[str] = []

    async def commit(self) -> None:
        self._path.parent.mkdir()
        await prepared(self._module, self._path)
        safe = Safe(self._module, self._path.parent)

        def look(step: str) -> None:
            self.steps.append(step)
            assert self._left(safe) in (BEFORE, AFTER)
            seen = asyncio.run(opened(self._module, self._path, safe).get_many(REFS))
            assert self._left(safe) == seen

        await opened(self._module, self._path, Watched(safe, look)).commit(WRITES, 2)
        assert await asyncio.to_thread(self._left, safe) == AFTER

    def _left(self, safe: Safe) -> list[Record | None]:
        """Return what a store finds after a power cut now."""
        directory = self._directory / f"cut {next(self._numbers)}"
        directory.mkdir()
        for name, content in safe.names.items():
            (directory / name).write_bytes(content)
        return asyncio.run(opened(self._module, directory / "accounts.json").get_many(REFS))


async def test_the_power_is_cut(directory: Path) -> None:
    """Whatever was synced is the old state or the new, whole: the new once it was answered, or seen by a reader."""
    cut = Cut(directory, load(directory))
    await cut.commit()
    assert {f"after {step}" for step in ("read", "write", "sync", "replace")} <= set(cut.steps)


@pytest.mark.parametrize(
    ("sync", "times"),
    [("self._disk.sync(self._new)", 1), ("self._disk.sync(self._path.parent)", 2)],
    ids=["content", "names"],
)
async def test_a_sync_is_needed(sync: str, times: int, directory: Path) -> None:
    """Without the one a power cut leaves an empty file under the name; without the other the old one."""
    broken(directory, sync, "pass", times)
    with pytest.raises((AssertionError, StoreInconsistent)):
        await Cut(directory, load(directory)).commit()


async def test_a_readers_sync_is_needed(directory: Path) -> None:
    """Without it a reader tells of what the next power cut takes back."""
    broken(directory, "data = self._disk.read(self._path)\n", "return decoded(self._disk.read(self._path))\n")
    with pytest.raises(AssertionError):
        await Cut(directory, load(directory)).commit()


# ── What goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────────


def failing(fatal: int) -> Callable[[str], None]:
    """Return what fails at this step."""
    steps = count()

    def look(_: str) -> None:
        if next(steps) == fatal:
            raise OSError(errno.EIO, "input or output error")

    return look


async def test_an_error_at_each_step(directory: Path) -> None:
    """Up to the replacement nothing was changed; from there on it is not known, and the store goes on either way."""
    module = load(directory)
    met: list[type[StoreError]] = []
    for fatal in count():
        path = directory / f"{fatal}.json"
        store = await prepared(module, path, Watched(module.Disk(), failing(fatal)))
        try:
            await store.commit(WRITES, 2)
        except StoreError as error:
            met.append(type(error))
        else:
            break
        left = await opened(module, path).get_many(REFS)
        assert left in ([BEFORE, AFTER] if met[-1] is CommitUnknown else [BEFORE])
        await opened(module, path).commit([Replace(KEPT.but(version=1))], 3)
    assert set(met) == {StoreUnavailable, CommitUnknown}
    assert met == sorted(met, key=[StoreUnavailable, CommitUnknown].index)


async def test_a_full_disk(directory: Path) -> None:
    """The commit is rejected and nothing is changed; it is done once there is room."""
    path = directory / "accounts.json"
    store = await prepared(load(directory), path)
    (directory / "accounts.json.new").unlink(missing_ok=True)
    (directory / "accounts.json.new").symlink_to("/dev/full")
    with pytest.raises(StoreRejected, match="ENOSPC"):
        await store.commit(WRITES, 2)
    assert await store.get_many(REFS) == BEFORE
    (directory / "accounts.json.new").unlink()
    await store.commit(WRITES, 2)
    assert await store.get_many(REFS) == AFTER


async def test_a_file_that_is_away(directory: Path) -> None:
    """It is not taken for an empty one, and none is made; readiness hears of it."""
    module, path = load(directory), directory / "accounts.json"
    store = await prepared(module, path)
    path.rename(directory / "away")
    asks: list[Callable[[], Awaitable[object]]] = [
        lambda: store.get_many(REFS),
        store.ping,
        lambda: store.commit(WRITES, 2),
    ]
    for ask in asks:
        with pytest.raises(StoreUnavailable, match="ENOENT"):
            await ask()
    with pytest.raises(ConfigurationInvalid, match=r"python json_store\.py"):
        await module.open_json(path)
    path.mkdir()
    with pytest.raises(StoreUnavailable, match="EISDIR"):
        await store.get_many(REFS)
    path.rmdir()
    (directory / "away").rename(path)
    await store.commit(WRITES, 2)


def _resealed(data: bytes, old: bytes, new: bytes) -> bytes:
    """Return the file with another content, as another release would have written it."""
    seal, _, records = data.removeprefix(b'{"sha256":"').removesuffix(b"}").partition(b'","records":')
    assert sha256(records).hexdigest().encode() == seal
    records = records.replace(old, new, 1)
    return b'{"sha256":"' + sha256(records).hexdigest().encode() + b'","records":' + records + b"}"


EDITS: dict[str, Callable[[bytes], bytes]] = {
    "a letter": lambda data: data.replace(b'"held"', b'"owned"', 1),
    "half": lambda data: data[: len(data) // 2],
    "nothing": lambda _: b"",
    "a type": lambda data: _resealed(data, b'"account":[]', b'"account":[],"colour":[{}]'),
    "a field": lambda data: _resealed(data, b'"id":"0"', b'"colour":"red","id":"0"'),
    "a state": lambda data: _resealed(data, b'"held"', b'"suspended"'),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
async def test_a_file_of_somebody_elses(edit: Callable[[bytes], bytes], directory: Path) -> None:
    """What a person edited, or a newer release wrote, is neither believed nor written over."""
    path = directory / "accounts.json"
    store = await prepared(load(directory), path)
    edited = edit(path.read_bytes())
    assert edited != path.read_bytes()
    path.write_bytes(edited)
    with pytest.raises(StoreInconsistent):
        await store.get_many(REFS)
    with pytest.raises(StoreInconsistent):
        await store.commit([Insert(INSERTED)], 2)
    assert path.read_bytes() == edited


async def test_another_has_the_lock(directory: Path) -> None:
    """A commit gives up after its tries; readers do not wait."""
    module = load(directory)
    store = await prepared(module, directory / "accounts.json", module.Disk(tries=3))
    with (directory / "accounts.json.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreUnavailable, match="TimeoutError"):
            await store.commit(WRITES, 2)
        assert await store.get_many(REFS) == BEFORE
    await store.commit(WRITES, 2)


async def test_the_event_loop_is_never_blocked(directory: Path) -> None:
    """No file is touched in the thread of the loop."""
    module, threads = load(directory), set[int]()
    disk = Watched(module.Disk(), lambda _: threads.add(get_ident()))
    store = await prepared(module, directory / "accounts.json", disk)
    await store.commit(WRITES, 2)
    await store.get_many(REFS)
    await store.due(Identity, await store.ping(), 1)
    await store.page(Identity, None, 1)
    assert threads
    assert get_ident() not in threads


async def test_nobody_else_reads_it_and_no_error_quotes_it(directory: Path) -> None:
    """The files are the user's alone; text that cannot be kept is rejected without a word of it."""
    path = directory / "accounts.json"
    store = await prepared(load(directory), path)
    assert isinstance(store, Store)
    assert [stat.S_IMODE(file.stat().st_mode) for file in (path, directory / "accounts.json.lock")] == [0o600] * 2
    with pytest.raises(StoreRejected) as rejected:
        await store.commit([Insert(INSERTED.but(credential="secret \ud800"))], 2)
    assert rejected.value.__cause__ is None
    assert rejected.value.__suppress_context__
    assert await store.get_many(REFS) == BEFORE


@pytest.mark.parametrize("cursor", ["", "nonsense", "[]", '["a", "b"]', "[1]", "{}"])
async def test_a_cursor_of_somewhere_else(cursor: str, directory: Path) -> None:
    """It comes from outside, so it is an input."""
    store = await prepared(load(directory), directory / "accounts.json")
    with pytest.raises(InvalidInput):
        await store.page(Identity, cursor, 2)


async def test_making_it_again_changes_nothing(directory: Path) -> None:
    """Whoever makes the file that is there leaves it alone."""
    module, path = load(directory), directory / "accounts.json"
    store = await prepared(module, path)
    module.JsonFile(path, module.Disk()).create()
    assert await store.get_many(REFS) == BEFORE
