"""The quickstart and the page on one's own row, followed to the letter."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from tests.docs.how_to import HowTo, send
from tests.servers import Servers, environment
from tests.services import run_apart


def _run(script: Path, *arguments: str, database_url: str) -> str:
    done = subprocess.run(
        [sys.executable, script, *arguments],
        env=environment(database_url),
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_the_server_of_the_quickstart(servers: Servers, tmp_path: Path) -> None:
    """The same request is the same 201; another key is 409 with the taken field; then she signs in."""
    url = f"sqlite:///{tmp_path / 'semel.db'}"
    servers.migrate(url)
    sign_up, sign_in = HowTo.read("../quickstart").requests()
    with servers.running(url) as server:
        first, again = send(sign_up, server.url), send(sign_up, server.url)
        assert (first.status_code, first.json()["user_id"]) == (again.status_code, again.json()["user_id"])
        assert first.status_code == 201
        taken = send(sign_up.replace("5f0c1a52", "6f0c1a52"), server.url)
        assert [error["field"] for error in taken.json()["errors"]] == ["email"]
        assert send(sign_in, server.url).status_code == 200


def test_the_library_of_the_quickstart(servers: Servers, tmp_path: Path) -> None:
    """The program runs as it stands."""
    url = f"sqlite:///{tmp_path / 'semel.db'}"
    servers.migrate(url)
    (program,) = [block.code for block in HowTo.read("../quickstart").blocks if block.language == "python"]
    (tmp_path / "main.py").write_text(program)
    assert _run(tmp_path / "main.py", database_url=url) == "welcome, Ada Lovelace"


@pytest.mark.parametrize("way", ["by_row", "by_sql", "by_sqlalchemy"])
def test_your_own_row(way: str, servers: Servers, postgres_database: str, tmp_path: Path) -> None:
    """Each way to write it makes the same row, with the account's id."""
    page = HowTo.read("your-own-row")
    page.write_files(tmp_path)
    servers.migrate(postgres_database)
    run_apart(_executed(postgres_database, page.queries()))
    made = _run(tmp_path / "main.py", way, database_url=postgres_database)
    (row,) = run_apart(_executed(postgres_database, ["SELECT * FROM public.profiles"]))
    assert (str(row["id"]), row["name"], row["email"]) == (made, "Test User", f"{way}@example.com")
    assert (row["role"], row["onboarding_completed"]) == ("Creator", False)


@pytest.mark.parametrize("way", ["row_on_sqlite", "sql_on_sqlite"])
def test_your_own_row_on_sqlite(way: str, servers: Servers, tmp_path: Path) -> None:
    """The same table without its schema, and the same row."""
    page = HowTo.read("your-own-row")
    page.write_files(tmp_path)
    servers.migrate(url := f"sqlite:///{tmp_path / 'semel.db'}")
    with closing(sqlite3.connect(tmp_path / "semel.db")) as file:
        for statement in page.queries():
            file.execute(statement.replace("public.", ""))
        made = _run(tmp_path / "main.py", way, database_url=url)
        ((row_id, *rest),) = file.execute("SELECT id, name, email, role FROM profiles").fetchall()
    assert (row_id, rest) == (made, ["Test User", f"{way}@example.com", "Creator"])


async def _executed(url: str, statements: list[str]) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return [row for statement in statements for row in await connection.fetch(statement)]
    finally:
        await connection.close()
