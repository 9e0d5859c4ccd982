"""Removes old records: on PostgreSQL whole months at once, the rest in small batches."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, delete, select

from blended.journal import partitions
from blended.journal.database import Database
from blended.journal.tables import TABLES, contents, feedback

# Another writer waits for as long as the deletion of one batch takes.
_ROWS_AT_ONCE = 5000


@dataclass(frozen=True)
class Pruned:
    """How many rows were deleted; the partitions are those dropped with all of their rows."""

    responses: int = 0
    contents: int = 0
    feedback: int = 0
    partitions: int = 0


def prune(database: Database, before: float | None, content_before: float | None) -> Pruned:
    """Remove all records from before the first time, and texts from before the second."""
    limits = [] if before is None else [(table, before) for table in TABLES]
    if content_before is not None:
        limits.append((contents, content_before))
    dropped = sum(_drop(database, *limit) for limit in limits) if database.is_postgresql else 0
    counts = {table.name: 0 for table in TABLES}
    for table, limit in limits:
        counts[table.name] += _delete(database, table, table.c.started_at < limit)
    if content_before is not None:
        comments = feedback.c.text.is_not(None) & (feedback.c.started_at < content_before)
        counts["feedback"] += _delete(database, feedback, comments)
    return Pruned(**counts, partitions=dropped)


def _drop(database: Database, table: Table, before: float) -> int:
    with database.writing() as connection:
        return partitions.drop_before(connection, table, before)


def _delete(database: Database, table: Table, condition: ColumnElement[bool]) -> int:
    deleted, is_done = 0, False
    while not is_done:
        with database.writing() as connection:
            count, is_done = _delete_some(connection, table, condition)
            deleted += count
    return deleted


def _delete_some(
    connection: Connection, table: Table, condition: ColumnElement[bool]
) -> tuple[int, bool]:
    started_at = table.c.started_at
    some = select(started_at).where(condition).order_by(started_at).offset(_ROWS_AT_ONCE).limit(1)
    last = connection.scalar(some)
    if last is not None:
        condition &= started_at <= last
    return connection.execute(delete(table).where(condition)).rowcount, last is None
