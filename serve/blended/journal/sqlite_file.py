"""A SQLite file that may be deleted or replaced while it is open, which SQLite itself does not say.

A connection goes on with the file that it has opened, also when no path leads there any more, and
what it writes is lost with the last connection.
"""

import logging
import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

# What a file is known by as long as somebody holds it open: device and inode.
Identity = tuple[int, int]

_BESIDE = ("-wal", "-shm")


@dataclass(frozen=True)
class Files:
    """What a connection has opened: the database, and what SQLite keeps beside it, by its ending.

    Another process may come to use those beside it, so that they do not change while it is open.
    """

    database: Identity
    beside: dict[str, Identity | None]


class SqliteFile:
    """The file at a path, whichever it is at the time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> Identity:
        """Make the file and its folder where they are missing; returns what is there.

        Raises:
            OSError: it cannot be made, or was deleted at once.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite gives the files beside it the same permissions. One that is there is not opened:
        # to close it would end the locks that connections of this process have on it.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
        return _identity(self.path.stat())

    def identity(self) -> Identity | None:
        """What is there now; None where nothing is, or can be reached."""
        return _look(self.path)

    def files(self, database: Identity) -> Files:
        """What a connection to that database has opened, which has just read from it."""
        return Files(database, {end: _look(self._beside(end)) for end in _BESIDE})

    def let_go(self, connection: sqlite3.Connection, opened: Files) -> None:
        """Leave a file that is not at the path any more whole, and nothing of it at the path.

        The WAL of one file would otherwise be applied to the other, which ruins it.
        """
        logger.error(
            "The journal's file '%s' was deleted or replaced while it was open; from now on "
            "records go into the file that is there, which is migrated. What was in the other one "
            "is only there.",
            self.path,
        )
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        for end, identity in opened.beside.items():
            if identity is not None and _look(self._beside(end)) == identity:
                self._beside(end).unlink(missing_ok=True)

    def _beside(self, end: str) -> Path:
        return self.path.with_name(self.path.name + end)


def _look(path: Path) -> Identity | None:
    try:
        return _identity(path.stat())
    except OSError:
        return None


def _identity(stat: os.stat_result) -> Identity:
    return stat.st_dev, stat.st_ino
