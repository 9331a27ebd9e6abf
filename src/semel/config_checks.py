"""What a setting may be, each for itself, and how it is told what is wrong with one: never its value."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import NoDecode

from semel.config_names import PREFIX, variable
from semel.errors import ConfigurationInvalid

__all__ = [
    "DAY",
    "NO_TABLE",
    "YEARS",
    "AdministratorsRoles",
    "Count",
    "Days",
    "IdentityTable",
    "Origins",
    "PublicUrl",
    "RolesToAskFor",
    "Seconds",
    "is_an_administrators",
    "one_line",
    "refuse_unknown",
    "setting_of",
]

DAY: Final = 86_400.0
NO_TABLE: Final = "none"
"""In place of a table's name: none shall be followed."""
_OF_THE_TESTS: Final = "SEMEL_TEST_"
_TABLE: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}\.[a-z_][a-z0-9_]{0,62}")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")
_PUBLIC: Final = re.compile(r"https?://[^/?#@\s]+(?:/[!$-;=A-Z_a-z~]*)?")
_BY_KUBERNETES: Final = re.compile(r"semel_(service_(host|port.*)|port_\d+_.*)", re.IGNORECASE)
"""What Kubernetes tells every pod beside a Service that is called semel."""
_ADMINISTRATORS: Final = frozenset({"admin", "administrator", "root", "superuser"})


def _listed(value: object) -> object:
    """Take ``a, b`` for a list: what an environment variable can say."""
    return tuple(filter(None, (part.strip() for part in value.split(",")))) if isinstance(value, str) else value


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    if not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("must be origins such as https://app.example.com, without a path, or *")
    return origins


def _public(url: str) -> str:
    if not _PUBLIC.fullmatch(url):
        raise ValueError("must be a URL such as https://app.example.com, without user, password, query and fragment")
    return url.rstrip("/")


def _table(name: str) -> str:
    if name != NO_TABLE and not _TABLE.fullmatch(name):
        raise ValueError("must be schema.table, of lower-case letters, digits and _, or none")
    return name


def _for_sign_up(roles: tuple[str, ...]) -> tuple[str, ...]:
    if is_an_administrators(roles, _ADMINISTRATORS):
        raise ValueError("must not offer an administrator's role to whoever signs up")
    return roles


def is_an_administrators(roles: Collection[str], administrators: Collection[str]) -> bool:
    """Tell whether one of the roles reads like an administrator's."""
    theirs = {_as_read(role) for role in administrators}
    return any(_as_read(role) in theirs for role in roles)


def _as_read(role: str) -> str:
    return unicodedata.normalize("NFKC", role).strip().casefold()


def _some(roles: tuple[str, ...]) -> tuple[str, ...]:
    if not roles:
        raise ValueError("must name a role")
    return roles


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Origins = Annotated[Names, AfterValidator(_origins)]
PublicUrl = Annotated[str, AfterValidator(_public)]
RolesToAskFor = Annotated[Names, AfterValidator(_for_sign_up)]
AdministratorsRoles = Annotated[Names, AfterValidator(_some)]
IdentityTable = Annotated[str, AfterValidator(_table)]
YEARS: Final = 100 * 366
Seconds = Annotated[float, Field(ge=0, le=YEARS * DAY, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, le=YEARS, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]


def one_line(error: ValidationError) -> str:
    """Say which variables are wrong and what they should be; never what they are."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    said = ((variable(str(fault["loc"][0])), fault["msg"].removeprefix("Value error, ")) for fault in faults)
    return "; ".join(f"{name}: {message}" for name, message in said)


def setting_of(environment_name: str) -> str | None:
    """Return the setting that a variable of ours names, ``None`` for one of somebody else's."""
    name = environment_name.upper()
    ours = name.startswith(PREFIX) and not name.startswith(_OF_THE_TESTS)
    return name.removeprefix(PREFIX).lower() if ours else None


def refuse_unknown(names: Iterable[str | None], known: Collection[str], shown: Callable[[str], str]) -> None:
    """Raise ``ConfigurationInvalid`` for a name that is no setting, and say which was meant."""
    for name in names:
        if name is not None and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {shown(near[0])}?" if near else "take it away; `semel config` lists all settings"
            if _BY_KUBERNETES.fullmatch(shown(name)):
                remedy = "Kubernetes sets it for a Service called semel: say enableServiceLinks: false"
            raise ConfigurationInvalid(f"{shown(name)} is no setting: {remedy}")
