"""Commands that do something to the store, and the one that shows the settings."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Annotated

import typer

from semel.assembly import migrate_store
from semel.cli.masking import shown_settings
from semel.cli.opened import ask, read_settings
from semel.cli.output import AsJson, print_json, print_lines, print_pairs, print_table
from semel.face import Semel

__all__ = ["config", "migrate", "upkeep"]


def migrate(*, as_json: AsJson = False) -> None:
    """Bring the store's tables to this release. Safe to repeat, and with any number at once."""
    settings = read_settings()
    before, after, follows = asyncio.run(migrate_store(settings))
    if as_json:
        print_json({"before": before, "after": after, "identity_table": follows})
        return
    if before == after:
        print_lines(f"The tables are up to date ({after}).")
    else:
        print_lines(f"The tables are migrated from {before or 'nothing'} to {after}.")
    if follows is not None:
        stays = "" if settings.identity_table else ", as before: SEMEL_IDENTITY_TABLE=none takes that away"
        print_lines(f"The accounts follow the identities in {follows}{stays}.")


def upkeep(
    *, once: Annotated[bool, typer.Option("--once", help="Make one pass and stop.")] = False, as_json: AsJson = False
) -> None:
    """Run the duties beside requests: without --once until told to stop."""
    if not once:
        if as_json:
            raise typer.BadParameter("goes with --once: what runs on tells of itself in its log", param_hint="--json")
        asyncio.run(_until_stopped())
        return
    done = ask(lambda semel: semel.upkeep_once())
    if as_json:
        print_json(done)
    else:
        print_table(("Duty", "Done"), done.items(), "There are no duties.")


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    settings = read_settings(upkeep=True)
    async with Semel(settings):
        print_lines(f"Upkeep makes a pass about every {settings.upkeep_interval_seconds:g} seconds.")
        sys.stdout.flush()
        await stopped.wait()


def config(*, as_json: AsJson = False) -> None:
    """Show every setting, secrets masked."""
    shown = shown_settings(read_settings())
    (print_json if as_json else print_pairs)(shown)
