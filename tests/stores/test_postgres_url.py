"""URLs of PostgreSQL as people have them."""

from pathlib import Path
from typing import Any

import pytest

from semel.errors import ConfigurationInvalid
from semel.stores.postgres_url import PostgresUrl, parse_url

PASSWORD = "correct horse"

READ: list[tuple[str, dict[str, Any]]] = [
    ("postgresql://", {"hosts": (), "user": None, "password": None, "database": None, "schema": "semel"}),
    ("postgres://db", {"hosts": ("db",), "ports": (5432,)}),
    ("postgresql+asyncpg://ann@db:6000/shop", {"user": "ann", "ports": (6000,), "database": "shop"}),
    ("postgres://ann:p%40ss%2Fw%3Ard%23@db/sh%20op", {"password": "p@ss/w:rd#", "database": "sh op"}),
    ("postgres://ann:a:b@db", {"user": "ann", "password": "a:b"}),
    ("postgres://postgres.ref:pw@aws.pooler.example.com:6543/postgres?pooler=transaction", {"pooled": True}),
    ("postgresql://a:1,b,c:3/shop", {"hosts": ("a", "b", "c"), "ports": (1, 5432, 3)}),
    ("postgresql:///shop?host=a,b&port=7", {"hosts": ("a", "b"), "ports": (7, 7), "database": "shop"}),
    ("postgresql:///shop?host=a,b&port=7,8", {"ports": (7, 8)}),
    ("postgresql:///shop?port=7", {"hosts": (), "ports": (7,)}),
    ("postgresql:///shop?host=/var/run/postgresql", {"hosts": ("/var/run/postgresql",)}),
    ("postgresql://%2Fvar%2Frun%2Fpostgresql/shop", {"hosts": ("/var/run/postgresql",)}),
    ("postgresql://[::1]:7,[fe80::1%25eth0]", {"hosts": ("::1", "fe80::1%eth0"), "ports": (7, 5432)}),
    ("postgresql://db?user=ann&password=a+b&dbname=shop", {"user": "ann", "password": "a+b", "database": "shop"}),
    ("postgresql://db?sslmode=require", {"tls": {"sslmode": "require"}}),
    ("postgresql://db?sslmode=allow&channel_binding=prefer&gssencmode=disable", {"tls": {"sslmode": "allow"}}),
    ("postgresql://db", {"target_session_attrs": "read-write"}),
    ("postgresql://a,b?target_session_attrs=primary", {"target_session_attrs": "primary"}),
    ("postgresql://a?target_session_attrs=any", {"target_session_attrs": "any"}),
    ("postgresql://db?application_name=shop&options=-c%20jit=off", {
        "startup": {"application_name": "shop", "options": "-c jit=off"},
    }),
    ("postgresql://db?schema=shop_b&pool_size=3&pooler=none", {"schema": "shop_b", "pool_size": 3, "pooled": False}),
    ("postgresql://db?connect_timeout=9&statement_timeout=100&lock_timeout=50", {
        "connect_timeout": 9, "statement_timeout": 100, "lock_timeout": 50,
    }),
]  # fmt: skip


@pytest.mark.parametrize(("url", "expected"), READ)
def test_what_people_have_is_read(url: str, expected: dict[str, Any]) -> None:
    """Every part of it that they may write in one way or another."""
    read = parse_url(url)
    for name, value in expected.items():
        found = getattr(read, name)
        assert (found.reveal() if name == "password" and found else found) == value


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
def test_every_mode_of_tls_is_passed_on(mode: str, tmp_path: Path) -> None:
    """With the file of the root certificate."""
    root = tmp_path / "root.crt"
    root.touch()
    url = parse_url(f"postgresql://db?sslmode={mode}&sslrootcert={root}")
    assert url.tls == {"sslmode": mode, "sslrootcert": str(root)}
    assert f"sslmode={mode}" in url.connect_arguments(*url.addresses())["dsn"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://a:1,b/shop", [("a", 1), ("b", 5432)]),
        ("postgresql:///shop", [("one", None), ("::1", None)]),
        ("postgresql:///shop?port=7", [("one", 7), ("::1", 7)]),
    ],
)
def test_hosts_are_tried_one_by_one(url: str, expected: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the URL, else those of the environment, each with its port."""
    monkeypatch.setenv("PGHOST", "one,::1")
    assert parse_url(url).addresses() == expected
    monkeypatch.setenv("PGPORT", "1,2")
    assert parse_url("postgresql:///shop").addresses() == [("one", 1), ("::1", 2)]
    monkeypatch.setenv("PGPORT", "1,2,3")
    with pytest.raises(ConfigurationInvalid):
        parse_url("postgresql:///shop").addresses()
    monkeypatch.delenv("PGHOST")
    assert parse_url("postgresql:///shop?port=7").addresses() == [(None, 7)]


REFUSED = [
    ("mysql://db", "begins with postgresql://"),
    ("postgresql://db?sslmod=require", "unknown parameter 'sslmod'"),
    ("postgresql://db?prepared_statement_cache_size=0", "unknown parameter 'prepared_statement_cache_size'"),
    ("postgresql://db?sslmode=maybe", "sslmode is one of"),
    ("postgresql://db?sslmode=verify-full&sslrootcert=/nowhere.crt", "sslrootcert names no file"),
    ("postgresql://db?sslmode=verify-full", "sslmode=verify-full needs root certificates: add sslrootcert="),
    ("postgresql://db?sslmode=verify-ca", "sslrootcert=system"),
    ("postgresql://db?sslmode=require&sslrootcert=system", "goes with sslmode=verify-full"),
    ("postgresql://db?sslrootcert=system&ssl_min_protocol_version=TLSv1.3", "goes with sslmode=verify-full"),
    ("postgresql://db?channel_binding=require", "channel_binding is one of"),
    ("postgresql://db?target_session_attrs=standby", "target_session_attrs is one of any, primary, read-write"),
    ("postgresql://a,b?target_session_attrs=any", "stale"),
    ("postgresql://db?pooler=session", "pooler is one of none, transaction"),
    ("postgresql://db?pool_size=0", "pool_size is a whole number of at least 1"),
    ("postgresql://db?statement_timeout=5s", "statement_timeout is a whole number"),
    ("postgresql://db?schema=Tenant-B", "schema is a name of lower-case letters"),
    ("postgresql://db:x", "a host is"),
    ("postgresql://db:123456", "a port for each host"),
    ("postgresql://a,b?port=1,2,3", "a port for each host"),
    ("postgresql://a,,b", "a host is"),
    ("postgresql://[::1", "percent-encode"),
    (f"postgresql://ann:{PASSWORD}/x@db", "percent-encode"),
    (f"postgresql://ann:{PASSWORD}#x@db", "percent-encode"),
    (f"postgresql://ann:{PASSWORD}?x@db", "percent-encode"),
    (f"postgresql://ann:{PASSWORD}[x@db", "percent-encode"),
    (f"postgresql://ann:{PASSWORD}@db?nonsense=1", "unknown parameter 'nonsense'"),
]


@pytest.mark.parametrize(("url", "message"), REFUSED)
def test_what_is_not_understood_stops_the_start(url: str, message: str) -> None:
    """With one line that names it and the remedy, and never shows a password."""
    with pytest.raises(ConfigurationInvalid) as refused:
        parse_url(url)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not any(word in str(refused.value) for word in PASSWORD.split())


def test_no_repr_shows_the_password() -> None:
    """What a log might come to print."""
    assert "horse" not in repr(parse_url("postgresql://ann:horse@db"))
    assert isinstance(parse_url("postgresql://db"), PostgresUrl)
