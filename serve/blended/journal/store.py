"""The journal's database: records go in, in any order and more than once, and can be found again.

store = Store("postgresql://blended@db/journal")
store.migrate()
store.add(records)
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Row, Select, Table, and_, inspect, select, text

from blended.errors import ConfigError
from blended.journal import forgetting, pruning
from blended.journal.database import Database, JournalUnavailable, RecordRefused
from blended.journal.implicit_feedback import HORIZON_S
from blended.journal.pruning import Pruned
from blended.journal.record_writer import Writer
from blended.journal.records import FeedbackRecord, Record, ResponseRecord
from blended.journal.tables import contents, feedback, responses

__all__ = ["JournalUnavailable", "Pruned", "RecordRefused", "Store", "StoredResponse"]

_MIGRATIONS = Path(__file__).with_name("migrations")
# PostgreSQL would choose a plan that finds the first rows soon but takes long for all.
_WANT_ALL = text("SELECT set_config('cursor_tuple_fraction', '1', true)")
# Alembic keeps what it is doing in globals.
_MIGRATING = threading.Lock()


@dataclass(frozen=True)
class StoredResponse:
    """A response's record, the feedback on it, and the id of the response that it replaced."""

    record: ResponseRecord
    feedback: tuple[FeedbackRecord, ...]
    replaces: str | None


class Store:
    """The journal in SQLite or PostgreSQL, for use by any thread; it connects when it has to.

    Every method that uses the database raises JournalUnavailable while it cannot use it, for
    instance because another writer has been writing for `patience_s`.

    Raises:
        ConfigError: `url` is no address of a SQLite file or of a PostgreSQL database.
    """

    def __init__(self, url: str, patience_s: float = 5.0) -> None:
        self._database = Database(url, patience_s)
        self._writer = Writer(self._database.is_postgresql)

    def migrate(self) -> None:
        """Create the tables or bring them up to date; concurrent calls wait for each other."""
        with _MIGRATING, self._database.writing() as connection:
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
            try:
                command.upgrade(config, "head")
            except CommandError as exc:
                raise JournalUnavailable(
                    f"The journal's database {self._database.place} is not one that this version "
                    f"of Blended knows ({exc}); update Blended."
                ) from exc
            self._database.has_migrated(connection)

    def open(self) -> None:
        """Bring the tables up to date, of a database that has some: this creates none.

        Raises:
            ConfigError: there is no journal at the address.
        """
        if not self._database.exists() or not self._has_tables():
            raise ConfigError(
                f"There is no journal in {self._database.place}: no router has kept records there. "
                "Correct the address, or make an empty one with 'blended journal migrate'."
            )
        self.migrate()

    def _has_tables(self) -> bool:
        with self._database.reading() as connection:
            return inspect(connection).has_table(responses.name)

    def migrate_once(self) -> None:
        """Migrate, unless that was done: again when another file is there, or after a failure."""
        if not self._database.is_migrated():
            self.migrate()

    def add(self, records: Iterable[Record]) -> None:
        """Keep records, all or none; existing records stay as they are.

        Of several feedbacks of a kind on one response the latest stays. Which responses were
        retried and continued is derived, unless a client has said so.

        Raises:
            RecordRefused: a record holds what the database does not take; try them one by one.
        """
        batch = list(records)
        if not batch:
            return
        with self._database.writing() as connection:
            try:
                self._writer.add(connection, batch)
            except (ValueError, TypeError, OverflowError) as exc:
                # The cause may show values of a record.
                raise RecordRefused(f"No database takes it: {type(exc).__name__}.") from None

    def find(self, response_id: str, started_at: float) -> StoredResponse | None:
        """The stored response; None if it has not arrived, or was deleted."""
        with self._database.reading() as connection:
            row = connection.execute(_response(response_id, started_at)).one_or_none()
            if row is None:
                return None
            given = connection.execute(_feedback(response_id, started_at)).all()
            replaces = connection.scalar(_replaced(response_id, started_at))
        return StoredResponse(
            ResponseRecord(**row._mapping),
            tuple(FeedbackRecord(**feedback._mapping) for feedback in given),
            replaces,
        )

    def ids_of(self, user: str) -> list[str]:
        """The ids of all responses of a user, by hash."""
        with self._database.reading() as connection:
            return forgetting.ids_of(connection, user)

    def forget(self, user: str) -> int:
        """Delete all responses of a user, by hash, with texts and feedback; returns how many.

        In a SQLite file what was deleted is overwritten, and its log is emptied. Records that
        still wait in a spool are not deleted.

        Raises:
            JournalUnavailable: others read the log for so long that it could not be emptied.
        """
        with self._database.writing() as connection:
            deleted = forgetting.forget(connection, user)
        if not self._database.empty_log():
            raise JournalUnavailable(
                f"The user's records are deleted, but the log of {self._database.place} still "
                "holds them, because another process reads it. Do it again."
            )
        return deleted

    def prune(self, before: float | None, content_before: float | None) -> Pruned:
        """Remove records from before the one time, and texts from before the other; None removes
        none.

        Texts are contents and comments.
        """
        pruned = pruning.prune(self._database, before, content_before)
        self._database.empty_log()
        return pruned

    def stream(self, statement: Select[Any], rows: int) -> Iterator[Sequence[Row[Any]]]:
        """The rows of a query, in batches, as the database finds them."""
        with self._database.reading() as connection:
            if self._database.is_postgresql:
                connection.execute(_WANT_ALL)
            options = {"yield_per": rows}
            with connection.execute(statement, execution_options=options) as found:
                yield from found.partitions()

    def close(self) -> None:
        """Close the connections."""
        self._database.close()


def _is(table: Table, response_id: str, started_at: float) -> Any:
    return and_(table.c.started_at == started_at, table.c.response_id == response_id)


def _response(response_id: str, started_at: float) -> Select[Any]:
    same = _is(contents, response_id, started_at)
    joined = responses.outerjoin(contents, same)
    return (
        select(*responses.c, contents.c.content)
        .select_from(joined)
        .where(_is(responses, response_id, started_at))
    )


def _feedback(response_id: str, started_at: float) -> Select[Any]:
    columns = [column for column in feedback.c if column.name != "derived"]
    return select(*columns).where(_is(feedback, response_id, started_at)).order_by("kind")


def _replaced(response_id: str, started_at: float) -> Select[Any]:
    return (
        select(feedback.c.response_id)
        .where(
            feedback.c.kind == "retry",
            feedback.c.other_id == response_id,
            feedback.c.started_at.between(started_at - HORIZON_S, started_at),
        )
        .order_by(feedback.c.started_at.desc(), feedback.c.response_id.desc())
        .limit(1)
    )
