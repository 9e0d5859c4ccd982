"""On PostgreSQL the journal has one partition per month (UTC), which is dropped as a whole."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, Table, text

from blended.journal.tables import TABLES

_MISSING = text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NULL"
)
_PARTITIONS = text(
    "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
    "WHERE inhparent = to_regclass(:parent)"
)


class Month(NamedTuple):
    """A calendar month in UTC."""

    year: int
    month: int

    @property
    def begin(self) -> int:
        """Its first moment, in Unix seconds."""
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp())

    @property
    def end(self) -> int:
        """The first moment after it, in Unix seconds."""
        return Month(self.year + self.month // 12, self.month % 12 + 1).begin

    def partition(self, table: str) -> str:
        """The name of a table's partition."""
        return f"{table}_{self.year:04}_{self.month:02}"


def month_of(at: float) -> Month:
    """The month in which a moment lies."""
    moment = datetime.fromtimestamp(at // 1, UTC)
    return Month(moment.year, moment.month)


def create_missing(connection: Connection, times: Iterable[float]) -> None:
    """Create the missing partitions of each table for these times.

    The transaction must hold the writers' lock, so that no other writer creates or drops one
    meanwhile.
    """
    months = {month_of(at) for at in {at // 3600 * 3600 for at in times}}
    wanted = {m.partition(table.name): (table.name, m) for m in months for table in TABLES}
    for name in connection.scalars(_MISSING, {"names": list(wanted)}).all():
        parent, month = wanted[name]
        # Creating it directly as a partition would wait for all readers of the table.
        connection.execute(text(f"CREATE TABLE {name} (LIKE {parent} INCLUDING ALL)"))
        bounds = f"FROM ({month.begin}) TO ({month.end})"
        connection.execute(
            text(f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES {bounds}")
        )


def drop_before(connection: Connection, table: Table, before: float) -> int:
    """Drop the partitions of months that ended before a time; returns how many."""
    names = connection.scalars(_PARTITIONS, {"parent": table.name}).all()
    old = [name for name in names if _month(name).end <= before]
    for name in old:
        connection.execute(text(f"DROP TABLE {name}"))
    return len(old)


def _month(partition: str) -> Month:
    found = re.search(r"_(\d{4})_(\d{2})\Z", partition)
    assert found is not None, f"{partition} is no partition of ours"
    return Month(int(found[1]), int(found[2]))
