"""SQL to the databases that the tests use, beside what the journal does with them."""

from typing import Any

from sqlalchemy import NullPool, create_engine, func, select, text

from blended.journal.store import Store
from blended.journal.tables import responses


def execute(url: str, *statements: str) -> list[Any]:
    """Run statements, each on its own; returns the first column of the rows of the last."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        for statement in statements:
            result = connection.execute(text(statement))
        return list(result.scalars()) if result.returns_rows else []


def rows(store: Store, table: Any) -> list[Any]:
    """All rows of a table, in the order of its key."""
    ordered = select(table).order_by(*table.primary_key)
    return [row for batch in store.stream(ordered, 1000) for row in batch]


def kept(url: str) -> list[Any]:
    """All responses in the database at an address."""
    store = Store(url)
    try:
        return rows(store, responses)
    finally:
        store.close()


def count(store: Store, table: Any) -> int:
    """How many rows a table has."""
    counted = select(func.count()).select_from(table)
    return sum(number for batch in store.stream(counted, 1) for (number,) in batch)
