"""What the settings of rate limits may say. The limits themselves are the server's: see ``semel.http.limits``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

__all__ = ["CountsIn", "Networks", "Rate"]

_RATE: Final = re.compile(r"[1-9]\d{0,8}/([1-9]\d{0,3})?(second|minute|hour|day)s?", re.ASCII)


def _rate(text: str) -> str:
    rates = text.lower().replace(" ", "").split(";")
    if not all(map(_RATE.fullmatch, rates)):
        raise ValueError("must read as 10/minute, as 3/10minutes, or as both with a semicolon between them")
    return "; ".join(rates)


Rate = Annotated[str, AfterValidator(_rate)]
"""How many attempts in which time: ``10/minute``; several, parted by semicolons, hold together."""


def _networks(given: object) -> tuple[str, ...]:
    listed = given.split(",") if isinstance(given, str) else given
    if not isinstance(listed, Iterable):
        raise ValueError("must be networks such as 10.0.0.0/8, or addresses")  # noqa: TRY004 - pydantic wants this one
    try:
        return tuple(str(ip_network(one.strip())) for one in listed if one.strip())
    except ValueError:
        raise ValueError("must be networks such as 10.0.0.0/8, or addresses") from None


Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_networks)]
"""Networks and single addresses, separated by commas, in their usual form."""


def _counts_in(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if text not in {"memory", "off"} and not text.startswith(("redis://", "rediss://")):
        raise ValueError("must be memory, off, or begin with redis:// or rediss://")
    return url


CountsIn = Annotated[SecretStr, AfterValidator(_counts_in)]
"""``memory``, ``off``, or the URL of a Redis."""
