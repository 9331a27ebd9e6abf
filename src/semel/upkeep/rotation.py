"""Rotation of signing keys. It belongs to every process, not to a due record: each must read what another has made."""

from __future__ import annotations

from typing import Final

from semel.keys import Keys
from semel.protocol.engine import Engine
from semel.upkeep import code_of

__all__ = ["ROTATE", "keep_rotating", "rotate_once"]

ROTATE: Final = "rotate_key"
"""The duty's name."""


async def rotate_once(engine: Engine, keys: Keys) -> bool:
    """Make the next signing key if it is time for one, and read them. Raises a ``StoreError``."""
    made = await keys.rotate(engine.clock.now())
    if made:
        engine.events.emit("key.rotated", {"duty": ROTATE})
    return made


async def keep_rotating(engine: Engine, keys: Keys, interval: float) -> None:
    """Look about every ``interval`` seconds, until cancelled, whatever a look meets."""
    while True:
        await engine.clock.sleep(interval * (0.5 + engine.ids.jitter()))
        try:
            await rotate_once(engine, keys)
        except Exception as error:  # noqa: BLE001 - one look must not end all others
            engine.events.emit("upkeep.failed", {"duty": ROTATE, "code": code_of(error)})
