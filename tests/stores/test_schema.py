"""The tables are declared once, say what each column means, and meet nothing of the application's."""

import pytest

from semel.errors import ConfigurationInvalid
from semel.model import RECORD_TYPES, Record
from semel.stores.schema import (
    ACCOUNT_EMAIL,
    ACCOUNT_IDENTITY,
    ACCOUNT_USERNAME,
    IDENTIFIER_ACCOUNT,
    LINK_ACCOUNT,
    PREFIX,
    REVISION,
    SCHEMA,
    SESSION_ACCOUNT,
    constraint_names,
    declare,
    is_semel_table,
    references,
    require_revision,
    table_name,
    version_table,
)


@pytest.mark.parametrize("kind", RECORD_TYPES, ids=lambda kind: kind.TYPE)
def test_every_field_is_a_column_with_a_comment(kind: type[Record]) -> None:
    """A record type's table has its fields, its key, and a sentence for each of them."""
    table = declare(SCHEMA).tables[f"{SCHEMA}.{table_name(kind, SCHEMA)}"]
    assert {column.name for column in table.columns} == set(kind.__struct_fields__)
    assert tuple(column.name for column in table.primary_key) == kind.KEY
    assert tuple(table.columns.keys())[: len(kind.KEY)] == kind.KEY
    assert table.comment
    assert all(column.comment for column in table.columns)


def test_on_sqlite_every_name_has_the_prefix() -> None:
    """Tables, and indexes and constraints, whose names a SQLite file shares as well."""
    tables = declare(None).tables.values()
    assert all(is_semel_table(table.name) for table in tables)
    assert is_semel_table(version_table(None))
    names = [str(index.name) for table in tables for index in table.indexes]
    names += [str(constraint.name) for table in tables for constraint in table.constraints]
    assert all(PREFIX in name for name in names)
    assert len(names) == len(set(names))


def test_on_postgresql_every_table_is_in_the_schema_and_has_a_plain_name() -> None:
    """A database administrator reads ``semel.accounts``."""
    tables = declare("elsewhere").tables
    assert "elsewhere.accounts" in tables
    assert all(table.schema == "elsewhere" and not is_semel_table(table.name) for table in tables.values())


def test_the_names_that_the_stores_look_for_are_there() -> None:
    """What a refused constraint is called is a constant."""
    secondary = {ACCOUNT_EMAIL, ACCOUNT_USERNAME, *(reference.name for reference in references())}
    assert secondary == {name for name in constraint_names() if not name.startswith("pk_")}
    assert {ACCOUNT_IDENTITY, IDENTIFIER_ACCOUNT, LINK_ACCOUNT, SESSION_ACCOUNT} == {
        reference.name for reference in references()
    }


def test_references_wait_for_the_end_of_the_transaction() -> None:
    """A commit writes in one order of names, whichever record refers to which."""
    foreign = [key for table in declare(SCHEMA).tables.values() for key in table.foreign_key_constraints]
    assert len(foreign) == len(references())
    assert all(key.deferrable and key.initially == "DEFERRED" for key in foreign)


@pytest.mark.parametrize(("stored", "remedy"), [(None, "semel migrate"), ("0000", "semel migrate"), ("9999", "newer")])
def test_another_revision_stops_the_start_with_a_remedy(stored: str | None, remedy: str) -> None:
    """No tables, older ones and newer ones are told apart."""
    with pytest.raises(ConfigurationInvalid, match=remedy):
        require_revision(stored)
    require_revision(REVISION)
