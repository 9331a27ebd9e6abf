"""The page on webhooks, followed to the letter: its secret made, its settings taken, its receiver run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from semel import Semel, Settings
from semel.protocol.options import Options
from semel.stores.memory import MemoryStore
from semel.upkeep.delivery import LONGEST_PAUSE
from tests.docs.how_to import HOW_TOS, HowTo
from tests.face.conftest import settings
from tests.servers import START_SECONDS
from tests.services import free_port

PAGE = (HOW_TOS / "webhooks.md").read_text()
PASSWORD = "correct horse battery"


def blocks(language: str) -> list[str]:
    return [block.code for block in HowTo.read("webhooks").blocks if block.language == language]


def secret() -> str:
    """Return what the page's command makes."""
    command = next(code for code in blocks("bash") if code.startswith("python3 -c")).strip()
    code = command.removeprefix("python3 -c '").removesuffix("'")
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_settings_of_the_page_are_right() -> None:
    """Both endpoints have their secret."""
    given = dict(line.split("=", 1) for line in blocks("ini")[0].splitlines())
    made = Settings(_env_file=None, **{name.removeprefix("SEMEL_").lower(): value for name, value in given.items()})
    assert [one.name for one in made.webhook_options().endpoints] == ["billing", "crm"]
    assert made.options().endpoints


@contextmanager
def receiving(directory: Path, signing: str, port: int) -> Iterator[list[str]]:
    """Run the page's receiver; in the end the list has the lines that it printed."""
    HowTo.read("webhooks").write_files(directory)
    command = [sys.executable, "receiver.py"]
    environment = {"WEBHOOK_SECRET": signing, "PORT": str(port)}
    said: list[str] = []
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=directory, env=environment, stdout=pipe, stderr=pipe, text=True) as receiver:
        try:
            _wait(receiver, port)
            yield said
        finally:
            receiver.terminate()
            said += receiver.communicate()[0].splitlines()


def _wait(receiver: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/")
        except httpx.TransportError:
            assert receiver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


async def test_the_receiver_of_the_page_verifies(tmp_path: Path) -> None:
    """An account is made and deleted; the receiver prints both, and refuses what another secret signs."""
    signing, port, store = secret(), free_port(), MemoryStore()
    with receiving(tmp_path, signing, port) as said:
        async with Semel(listening(port, signing), store=store) as semel:
            account = (await semel.register(email="ada@gmail.com", password=PASSWORD)).account
            await semel.upkeep_once()
            await semel.delete_account(account.id)
            await semel.upkeep_once()
        async with Semel(listening(port, secret()), store=store) as semel:
            await semel.register(email="bob@gmail.com", password=PASSWORD)
            await semel.upkeep_once()
            (refused,) = [one for one in await semel.outbox() if one.failure]
    assert said == [f"account.created {account.id}", f"account.deleted {account.id}"]
    assert refused.failure == "billing: HTTP 401"


def listening(port: int, signing: str) -> Settings:
    return settings(
        webhooks=f"billing=http://127.0.0.1:{port}/",
        webhook_secrets=f"billing={signing}",
        webhook_allow_private=True,
    )


def test_the_schedule_of_the_page_is_the_schedule() -> None:
    """In the page's words."""
    seconds, minutes, hours = 1, 60, 3600
    said = [5 * seconds, 5 * minutes, 30 * minutes, *(n * hours for n in (2, 5, 10, 14, 20, 24))]
    assert Options().delivery_waits == tuple(said)
    assert "after 5 seconds, 5 minutes, 30 minutes, 2, 5, 10, 14, 20 and 24 hours" in PAGE
    assert hours == LONGEST_PAUSE
    assert "up to an hour" in PAGE
