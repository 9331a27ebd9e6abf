"""The blocking face: the same methods, for threads, over one loop in the background."""

import inspect
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from semel import Semel as Async
from semel.errors import ConfigurationInvalid, InvalidCredentials
from semel.sync import Semel
from tests.face.conftest import EMAIL, PASSWORD, settings

CHILD_SECONDS = 60


@pytest.fixture
def semel(url: str) -> Iterator[Semel]:
    with Semel(settings(url)) as semel:
        yield semel


def test_it_has_every_method_of_the_other() -> None:
    """With the same parameters; none is left out and none is made up."""
    methods = {name: one for name, one in inspect.getmembers(Async, inspect.iscoroutinefunction) if name[0] != "_"}
    assert {name: inspect.signature(one) for name, one in methods.items()} == {
        name: inspect.signature(getattr(Semel, name, lambda: None)) for name in methods
    }
    own = {name for name, one in vars(Semel).items() if callable(one) and name[0] != "_"}
    assert own - methods.keys() == {"open", "close"}


def test_it_answers_and_raises_as_the_other(semel: Semel) -> None:
    """Results and errors come as they are."""
    account = semel.register(email=EMAIL, password=PASSWORD).account
    tokens = semel.sign_in(EMAIL, PASSWORD).tokens
    assert semel.current_account(tokens.access_token).id == account.id
    with pytest.raises(InvalidCredentials):
        semel.sign_in(EMAIL, "another password")


def test_many_threads_use_one(semel: Semel) -> None:
    """Ten at once with one key: one account."""
    with ThreadPoolExecutor(10) as threads:
        asked = [
            threads.submit(semel.register, email=EMAIL, password=PASSWORD, idempotency_key="the key of ten threads")
            for _ in range(10)
        ]
    assert len({one.result().account.id for one in asked}) == 1
    assert sum(not one.result().replayed for one in asked) == 1


def test_it_is_used_while_open() -> None:
    """Before and after it says so; opened twice it says so; closed twice is no harm."""
    semel = Semel(settings())
    with pytest.raises(ConfigurationInvalid, match="not open"):
        semel.ready()
    with semel:
        assert semel.ready().ready
        with pytest.raises(ConfigurationInvalid, match="open already"):
            semel.open()
    semel.close()
    with pytest.raises(ConfigurationInvalid, match="not open"):
        semel.ready()


def test_it_does_not_open_what_cannot_be_opened(tmp_path: object) -> None:
    """The error is that of the other; afterwards it may be tried again."""
    semel = Semel(settings(f"sqlite:///{tmp_path}/empty.db"))
    for _ in range(2):
        with pytest.raises(ConfigurationInvalid, match="semel migrate"):
            semel.open()


def forked(work: Callable[[], bool]) -> bool:
    """Do some work in a process forked off, and say what came of it; one that hangs is killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what is tested
        child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(CHILD_SECONDS)
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_fork_does_not_hang(semel: Semel) -> None:
    """A child process has no such thread; it is told to open its own."""

    def told() -> bool:
        with pytest.raises(ConfigurationInvalid, match="not open in this process"):
            semel.ready()
        return True

    assert forked(told)
    assert semel.ready().ready


def test_a_fork_opens_its_own(semel: Semel) -> None:
    """Once it has closed what it inherited, which does its parent no harm."""

    def reopened() -> bool:
        semel.close()
        with semel:
            return semel.register(email=EMAIL, password=PASSWORD).account.email == EMAIL

    assert forked(reopened)
    assert semel.account_by_email(EMAIL).email == EMAIL


def test_it_closes_as_python_ends(sqlite_url: str) -> None:
    """A program that never closes it ends quietly, and what it did is there."""
    program = (
        "from semel.sync import Semel; from semel import Settings\n"
        f"semel = Semel(Settings(_env_file=None, database_url={sqlite_url!r})).open()\n"
        f"semel.register(email={EMAIL!r}, password={PASSWORD!r})\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    with Semel(settings(sqlite_url)) as semel:
        assert semel.account_by_email(EMAIL).email == EMAIL
