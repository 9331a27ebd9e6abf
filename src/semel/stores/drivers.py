"""Drivers come with extras. Who imports one here is told which is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from semel.errors import ConfigurationInvalid

__all__ = ["driver"]


@contextmanager
def driver(store: str, extra: str) -> Iterator[None]:
    """Import what needs a driver inside this. Raises ``ConfigurationInvalid`` where its extra is not installed."""
    try:
        yield
    except ModuleNotFoundError:
        raise ConfigurationInvalid(f"{store} needs a driver: install semel[{extra}]") from None
