"""Connections to the journal's database, SQLite or PostgreSQL, and their errors."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InvalidatePoolError,
    SQLAlchemyError,
    StatementError,
)

from blended.errors import BlendedError, ConfigError
from blended.journal.sqlite_file import Identity, SqliteFile

_CONNECT_S, _SILENCE_S = 5, 10
_RETRY_S = 0.01
_WRITES = "blended_writes"
# Where a connection's entry in the pool keeps what it has opened.
_IDENTITY, _FILES = "blended_identity", "blended_files"
# Of a server, which the address names: there is no other.
_SERVER = (0, 0)
# Texts that are deleted are overwritten.
_SETTINGS = ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON")
# One writer at a time, because the values derived from a record depend on other writers' records.
# All look-ups of writers use an index, also in a month so new that PostgreSQL has no statistics
# yet.
_LOCK = text(
    "SELECT set_config('lock_timeout', :patience, true), "
    "set_config('enable_seqscan', 'off', true), pg_advisory_xact_lock(7594026301)"
)


class JournalUnavailable(BlendedError, RuntimeError):
    """The journal's database cannot be used now; the same may succeed later."""


class RecordRefused(BlendedError, ValueError):
    """The journal's database refuses the values of a record, and always will."""


class Database:
    """A small pool of connections, the first of which is made when it is needed.

    A writer that waits for another writer gives up after `patience_s`.

    Raises:
        ConfigError: `url` is no address of a SQLite file or of a PostgreSQL database.
    """

    def __init__(self, url: str, patience_s: float) -> None:
        address = _address(url)
        self.is_postgresql = address.get_backend_name() == "postgresql"
        self.place = _place(address)
        self._patience = {"patience": f"{patience_s * 1000:.0f}ms"}
        self._file = None if self.is_postgresql else SqliteFile(Path(str(address.database)))
        self._engine = _engine(address, patience_s, self._file)
        self._migrated: Identity | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write, once no other does."""
        with self._errors(), self._engine.connect() as connection:
            connection.execution_options(**{_WRITES: True})
            with connection.begin():
                if self.is_postgresql:
                    connection.execute(_LOCK, self._patience)
                yield connection
            self._refuse_replaced(connection)

    def exists(self) -> bool:
        """Whether there is a file at the address; of a server only a connection can tell."""
        return self._file is None or self._file.identity() is not None

    def is_migrated(self) -> bool:
        """Whether migrations have been run on what is there, and nothing went wrong since."""
        there = self._file.identity() if self._file else _SERVER
        return there is not None and there == self._migrated

    def has_migrated(self, connection: Connection) -> None:
        """Remember that migrations have been run on what this connection leads to."""
        self._migrated = connection.info.get(_IDENTITY, _SERVER)

    def empty_log(self) -> bool:
        """Move what SQLite's write-ahead log holds into the file, and cut the log to nothing.

        Until then the log holds what has been deleted. False while others read an older state;
        PostgreSQL cleans up by itself.
        """
        if self.is_postgresql:
            return True
        with self._errors():
            # A transaction, which SQLAlchemy would begin, cannot do it.
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                (is_busy, *_) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.close()
        return not is_busy

    def close(self) -> None:
        """Close the unused connections."""
        self._engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        # Causes and all but a message's first line are cut off, because they may show a row.
        try:
            yield
        except (SQLAlchemyError, OSError) as exc:
            if _is_refusal(exc):
                reason = f"The journal's database does not take a record: {_reason(exc)}."
                raise RecordRefused(reason) from None
            # Somebody may be putting an older state of it back.
            self._migrated = None
            raise JournalUnavailable(
                f"The journal's database {self.place} cannot be used: {_reason(exc)}. "
                "See that it runs and can be reached."
            ) from None

    def _refuse_replaced(self, connection: Connection) -> None:
        if self._file and self._file.identity() != connection.info[_IDENTITY]:
            raise JournalUnavailable(
                f"The journal's file {self.place} was deleted or replaced while records were "
                "written to it; they are written to the new one."
            )


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        address = URL.create("unknown")
    if address.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return address.set(drivername="postgresql+psycopg")
    if address.drivername == "sqlite" and address.database not in (None, "", ":memory:"):
        return address
    # The address is not shown: it may hold a password.
    raise ConfigError(
        "The journal's address is of no kind that is supported; give "
        "'postgresql://user:password@host/database' or 'sqlite:////folder/journal.db'."
    )


def _place(address: URL) -> str:
    port = f":{address.port}" if address.port else ""
    return f"{address.host or ''}{port}/{address.database}".removeprefix("/" * (not address.host))


def _engine(address: URL, patience_s: float, file: SqliteFile | None) -> Engine:
    return _sqlite(address, patience_s, file) if file else _postgresql(address, patience_s)


def _postgresql(address: URL, patience_s: float) -> Engine:
    arguments = {
        "connect_timeout": _CONNECT_S,
        "application_name": "blended",
        # Notice a server that has vanished without closing the connection.
        "tcp_user_timeout": _SILENCE_S * 1000,
        "keepalives_idle": _SILENCE_S // 2,
        "keepalives_interval": 1,
        "keepalives_count": _SILENCE_S // 2,
    }
    return create_engine(
        address,
        connect_args=arguments,
        pool_pre_ping=True,
        pool_size=2,
        max_overflow=2,
        pool_timeout=patience_s,
        hide_parameters=True,
    )


def _sqlite(address: URL, patience_s: float, file: SqliteFile) -> Engine:
    engine = create_engine(address, connect_args={"timeout": patience_s}, hide_parameters=True)

    @event.listens_for(engine, "do_connect")
    def create(_dialect: Any, entry: Any, *_: Any) -> None:
        entry.info[_IDENTITY] = file.create()

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, entry: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not in the driver
        for setting in (*_SETTINGS, "schema_version"):
            _set(connection, setting, time.monotonic() + patience_s)
        entry.info[_FILES] = file.files(entry.info[_IDENTITY])

    @event.listens_for(engine, "checkout")
    def recognise(connection: Any, entry: Any, _: Any) -> None:
        if file.identity() != entry.info[_IDENTITY]:
            file.let_go(connection, entry.info[_FILES])
            raise InvalidatePoolError

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _set(connection: sqlite3.Connection, setting: str, give_up_at: float) -> None:
    # SQLite itself does not wait for others that open the file before it begins a log.
    while True:
        try:
            connection.execute(f"PRAGMA {setting}").fetchall()
            return
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(_RETRY_S)


def _is_refusal(exc: Exception) -> bool:
    """Whether the error is in the values, which SQLAlchemy itself may have refused."""
    if isinstance(exc, DBAPIError):
        return isinstance(exc, DataError | IntegrityError)
    return isinstance(exc, StatementError)


def _reason(exc: Exception) -> str:
    cause = exc.orig if isinstance(exc, StatementError) and exc.orig else exc
    return (str(cause).strip() or type(cause).__name__).splitlines()[0].rstrip(".")
