"""How commands reach Semel: the settings of the environment, opened for one task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from semel.config import Settings
from semel.face import Semel
from semel.observe import configure_logs

__all__ = ["ask", "read_settings"]

T = TypeVar("T")


def read_settings(**overrides: object) -> Settings:
    """Return the settings, these before all others, and let the log obey them. Raises ``ConfigurationInvalid``."""
    settings = Settings(**overrides)
    configure_logs(settings.log_level, settings.log_format)
    return settings


def ask(question: Callable[[Semel], Awaitable[T]]) -> T:
    """Open Semel without its upkeep, ask, close it, and return the answer."""

    async def asked() -> T:
        async with Semel(read_settings(upkeep=False)) as semel:
            return await question(semel)

    return asyncio.run(asked())
