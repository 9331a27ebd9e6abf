"""PostgreSQL URLs as people have them, read once and told apart from each other's dialects.

A URL is libpq's: user, password, one or more hosts, database, and parameters. Those of libpq that decide how to
connect are understood; a few of our own come beside them (``schema``, ``pooler``, ``pool_size``,
``statement_timeout``, ``lock_timeout``). A parameter that is not understood stops the start, since a promise such as
``channel_binding=require`` must not be dropped in silence. No message shows a value of the URL: it might be part of a
password.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import msgspec

from semel.errors import ConfigurationInvalid
from semel.model import Secret
from semel.stores.schema import SCHEMA

__all__ = ["Address", "PostgresUrl", "parse_url"]

_SCHEMES: Final = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})
_DEFAULT_PORT: Final = 5432
_FILES: Final = ("sslcert", "sslcrl", "sslkey", "sslrootcert")
_TLS: Final = frozenset({"sslmode", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version", *_FILES})
_ROOT: Final = "~/.postgresql/root.crt"
"""Whom libpq and the driver trust where nobody says whom."""
_SYSTEM: Final = "system"
"""In place of a file: the root certificates of this machine."""
_WITH_SYSTEM: Final = frozenset({"sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey"})
_PLACE: Final = frozenset({"host", "port", "user", "password", "dbname"})
_STARTUP: Final = frozenset({"application_name", "options"})
_CHOICES: Final[Mapping[str, frozenset[str]]] = {
    "sslmode": frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}),
    "target_session_attrs": frozenset({"any", "primary", "read-write"}),
    "pooler": frozenset({"none", "transaction"}),
    "channel_binding": frozenset({"disable", "prefer"}),
    "gssencmode": frozenset({"disable", "prefer"}),
}
_NUMBERS: Final[Mapping[str, int]] = {
    "pool_size": 10,
    "connect_timeout": 5,
    "statement_timeout": 5000,
    "lock_timeout": 3000,
}
"""Whole numbers of at least 1, with what they are where the URL says nothing."""
_KNOWN: Final = frozenset({*_TLS, *_PLACE, *_STARTUP, *_CHOICES, *_NUMBERS, "schema"})
_SCHEMA_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PORT: Final = re.compile(r"[0-9]{0,5}")
_ADDRESS: Final = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+(?:%\w+)?)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]*))?")


class Address(NamedTuple):
    """One host; ``None`` for what the driver takes where nothing is said."""

    host: str | None
    port: int | None


class PostgresUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Where the database is and how to speak to it. Its repr shows no password."""

    hosts: tuple[str, ...] = ()
    """Names, addresses or directories of Unix sockets, tried in this order; empty for libpq's defaults (``PGHOST``)."""
    ports: tuple[int, ...] = ()
    """One a host."""
    user: str | None = None
    password: Secret | None = None
    database: str | None = None
    tls: Mapping[str, str] = {}
    """libpq's parameters of TLS, under their own names."""
    target_session_attrs: str = "read-write"
    startup: Mapping[str, str] = {}
    """Parameters for the startup packet, as given."""
    schema: str = SCHEMA
    pooled: bool = False
    """Whether a pooler in transaction mode stands before the server: no prepared statements, no state of a session."""
    pool_size: int = _NUMBERS["pool_size"]
    """How many connections at most."""
    connect_timeout: float = _NUMBERS["connect_timeout"]
    """In seconds, for each host."""
    statement_timeout: int = _NUMBERS["statement_timeout"]
    """In milliseconds, as PostgreSQL has it: how late, at most, a commit whose answer was lost can still land."""
    lock_timeout: int = _NUMBERS["lock_timeout"]
    """In milliseconds, as PostgreSQL has it."""

    def addresses(self) -> list[Address]:
        """Return the hosts to try, in this order: one at least."""
        hosts = self.hosts or tuple(filter(None, os.environ.get("PGHOST", "").split(",")))
        given = self.ports or tuple(int(port) for port in os.environ.get("PGPORT", "").split(",") if port.isdecimal())
        if len(given) > 1 and len(given) != len(hosts):
            raise _wrong(f"{len(given)} ports are named for {len(hosts)} hosts: give one for all, or one for each")
        ports = given if len(given) == len(hosts) else given[:1] * len(hosts)
        return [Address(*one) for one in zip_longest(hosts, ports)] or [Address(None, next(iter(self.ports), None))]

    def connect_arguments(self, address: Address) -> dict[str, Any]:
        """Return the arguments of ``asyncpg.connect`` that say where and how; what a session is set to comes beside."""
        return {
            # asyncpg takes the files of TLS from a URL alone.
            "dsn": f"postgresql://?{urlencode(self.tls)}" if self.tls else None,
            "ssl": _system_trust(self.tls) if self.tls.get("sslrootcert") == _SYSTEM else None,
            "host": address.host,
            "port": address.port,
            "user": self.user,
            "password": self.password.reveal() if self.password else None,
            "database": self.database,
            "target_session_attrs": self.target_session_attrs,
            "timeout": self.connect_timeout,
        }


def _system_trust(tls: Mapping[str, str]) -> ssl.SSLContext:
    """Return what trusts whom this machine trusts, which the driver does not know as libpq's ``system``."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if "sslcert" in tls:
        context.load_cert_chain(tls["sslcert"], tls.get("sslkey"))
    return context


def parse_url(url: str) -> PostgresUrl:
    """Read a URL. Raises ``ConfigurationInvalid`` naming what is wrong and the remedy, never a value."""
    parts = _split(url)
    given = _parameters(parts.query)
    login, _, place = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    hosts, ports = _hosts(given.get("host") or place, given.get("port"))
    password = given.get("password") or unquote(password)
    target = given.get("target_session_attrs") or "read-write"
    if target == "any" and len(hosts) > 1:
        raise _wrong("target_session_attrs=any with several hosts may read stale rows of a standby: leave it out")
    return PostgresUrl(
        hosts=hosts,
        ports=ports,
        user=given.get("user") or unquote(user) or None,
        password=Secret(password) if password else None,
        database=given.get("dbname") or unquote(parts.path.removeprefix("/")) or None,
        tls={name: value for name, value in given.items() if name in _TLS},
        target_session_attrs=target,
        startup={name: value for name, value in given.items() if name in _STARTUP},
        schema=given.get("schema", SCHEMA),
        pooled=given.get("pooler") == "transaction",
        **{name: int(given.get(name, default)) for name, default in _NUMBERS.items()},
    )


def _wrong(what: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"The database URL is not valid: {what}.")


def _split(url: str) -> SplitResult:
    encode = "percent-encode the special characters of the password (@ is %40, / is %2F, # is %23, ? is %3F)"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _wrong(encode) from None
    if parts.scheme not in _SCHEMES:
        raise _wrong("it begins with postgresql://, postgres:// or postgresql+asyncpg://")
    if parts.fragment or "@" in parts.path + parts.query:
        raise _wrong(encode)
    return parts


def _parameters(query: str) -> dict[str, str]:
    # A plus is a plus to libpq.
    given = dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True))
    if unknown := sorted(given.keys() - _KNOWN):
        raise _wrong(f"unknown parameter {unknown[0]!r}; known are {', '.join(sorted(_KNOWN))}")
    for name, value in given.items():
        if name in _CHOICES and value not in _CHOICES[name]:
            raise _wrong(f"{name} is one of {', '.join(sorted(_CHOICES[name]))}")
        if name in _NUMBERS and not (value.isascii() and value.isdigit() and int(value) > 0):
            raise _wrong(f"{name} is a whole number of at least 1")
        if name in _FILES and (name, value) != ("sslrootcert", _SYSTEM) and not Path(value).is_file():
            raise _wrong(f"{name} names no file that is there")
    _check_tls(given)
    if not _SCHEMA_NAME.fullmatch(given.get("schema", SCHEMA)):
        raise _wrong("schema is a name of lower-case letters, digits and _, which does not begin with a digit")
    return given


def _check_tls(given: Mapping[str, str]) -> None:
    mode, root = given.get("sslmode", ""), given.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    if root == _SYSTEM:
        if "sslrootcert" not in given or mode not in {"", "verify-full"} or _TLS & given.keys() - _WITH_SYSTEM:
            raise _wrong("sslrootcert=system, in the URL, goes with sslmode=verify-full, sslcert and sslkey alone")
    elif mode.startswith("verify") and not root and not Path(os.path.expanduser(_ROOT)).is_file():  # noqa: PTH111 - Path's own raises where there is no home
        remedy = "sslrootcert=/path/of/the/root.crt, or sslrootcert=system for those that this machine trusts"
        raise _wrong(f"sslmode={mode} needs root certificates: add {remedy}")


def _hosts(place: str, ports: str | None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return hosts and ports of ``a:1,b`` or, with ports of their own, ``a,b`` and ``1,2``."""
    hosts, own = [], []
    for address in place.split(",") if place else ():
        found = _ADDRESS.fullmatch(unquote(address))
        host = (found["six"] or found["host"]) if found else ""
        if found is None or not host:
            raise _wrong("a host is a name, an address (IPv6 in brackets) or a socket's directory, :port behind it")
        hosts.append(host)
        own.append(found["port"] or "")
    apart = ports.split(",") if ports else own
    if len(apart) == 1 and hosts:
        apart *= len(hosts)
    if (hosts and len(apart) != len(hosts)) or not all(_PORT.fullmatch(port) for port in apart):
        raise _wrong("give a port for each host, or one for all")
    return tuple(hosts), tuple(int(port or _DEFAULT_PORT) for port in apart)
