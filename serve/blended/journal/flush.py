"""Flushes the spool's files to the database, and prunes what the database has kept long enough."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from blended.journal import spool_files
from blended.journal.records import Record, from_line, to_line
from blended.journal.spool import Spool
from blended.journal.store import JournalUnavailable, RecordRefused, Store

logger = logging.getLogger(__name__)

_BATCH_BYTES = 2**20
_ADOPT_S, _PRUNE_S = 30.0, 3600.0


class Flush:
    """Moves records from the spool to the store.

    `retention_s` and `content_retention_s` say for how long the store keeps records and texts,
    None for ever.
    """

    def __init__(
        self,
        spool: Spool,
        store: Store,
        retention_s: float | None,
        content_retention_s: float | None,
    ) -> None:
        self._spool, self._store = spool, store
        self._kept_s = (retention_s, content_retention_s)

    def run(self, period_s: float, closing: threading.Event) -> None:
        """Flush every `period_s` seconds until `closing` is set.

        While the database does not answer, records wait in the spool.
        """
        adopt, prune = _Every(_ADOPT_S), _Every(_PRUNE_S)
        pause, is_well = 0.0, True
        while not closing.wait(pause):
            pause = period_s
            try:
                if adopt.is_due():
                    self._spool.adopt()
                self.all()
                if prune.is_due():
                    self._prune()
                is_well = True
            except (JournalUnavailable, OSError) as exc:
                if is_well:
                    logger.error("%s Records wait in the spool meanwhile.", exc)
                is_well = False

    def all(self) -> None:
        """Flush all files.

        Raises:
            JournalUnavailable: the database does not answer; what is left stays in the spool.
            OSError: a file cannot be read or removed.
        """
        self._store.migrate_once()
        while batch := self._spool.waiting(_BATCH_BYTES):
            self._store.migrate_once()
            self._files(batch)

    def _files(self, batch: list[Path]) -> None:
        parsed = (self._parsed(line) for file in batch for line in spool_files.lines_of(file))
        records = [record for record in parsed if record is not None]
        try:
            self._store.add(records)
        except RecordRefused:
            for record in records:
                self._one(record)
        for file in batch:
            self._spool.remove(file)

    def _parsed(self, line: str) -> Record | None:
        try:
            return from_line(line)
        except ValueError as exc:
            self._reject(line, exc)
            return None

    def _one(self, record: Record) -> None:
        try:
            self._store.add([record])
        except RecordRefused as exc:
            self._reject(to_line(record), exc)

    def _reject(self, line: str, cause: Exception) -> None:
        logger.error("A record cannot be journalled and was put into rejected.jsonl: %s", cause)
        self._spool.reject(line)

    def _prune(self) -> None:
        now = time.time()
        before, content_before = (None if kept is None else now - kept for kept in self._kept_s)
        if before is not None or content_before is not None:
            self._store.prune(before, content_before)


class _Every:
    """Tells when a period has passed; the first time at once."""

    def __init__(self, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s, self._clock = period_s, clock
        self._due_at = clock()

    def is_due(self) -> bool:
        if self._clock() < self._due_at:
            return False
        self._due_at = self._clock() + self._period_s
        return True
