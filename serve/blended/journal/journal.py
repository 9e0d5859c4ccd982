"""The journal of one router replica: records are spooled, and shipped in the background."""

import asyncio
import atexit
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from blended.journal import spool_files
from blended.journal.identity import Identity
from blended.journal.records import FeedbackRecord, Record, from_line, to_line
from blended.journal.spool import Spool, SpoolStatus
from blended.journal.store import JournalUnavailable, RecordRefused, Store, StoredResponse

logger = logging.getLogger(__name__)

_WRITE_S = 0.25
_BATCH_BYTES = 2**20
_CLOSE_S = 10.0
_ADOPT_S, _PRUNE_S = 30.0, 3600.0


class Journal:
    """Keeps records without delaying responses: two threads write and ship them.

    They are shipped every `ship_s` seconds, because a single record costs ten times as much as one
    of a hundred. `keep_content` says whether texts are kept; `retention_s` and
    `content_retention_s` say for how long, None for ever.
    """

    def __init__(
        self,
        spool: Spool,
        store: Store,
        identity: Identity,
        keep_content: bool,
        retention_s: float | None,
        content_retention_s: float | None,
        ship_s: float = 5.0,
    ) -> None:
        self.identity, self.keep_content, self.retention_s = identity, keep_content, retention_s
        self._content_retention_s, self._ship_s = content_retention_s, ship_s
        self._spool, self._store = spool, store
        self._closing = threading.Event()
        self._written = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=f"journal-{run.__name__}", daemon=True)
            for run in (self._write, self._ship)
        ]
        for thread in self._threads:
            thread.start()
        # A terminated process may end with no other notice than the interpreter's exit hook.
        atexit.register(self.close)

    def append(self, record: Record) -> None:
        """Take a record; it is on this machine's disk a moment later."""
        self._spool.append(record)

    async def find(self, response_id: str, started_at: float) -> StoredResponse | None:
        """A response's record and the feedback on it; None if it has not arrived, or was pruned.

        Raises:
            JournalUnavailable: the database does not answer.
        """
        return await asyncio.to_thread(self._store.find, response_id, started_at)

    async def give(self, feedback: FeedbackRecord) -> bool | None:
        """Keep a feedback; returns whether it replaced one of its kind.

        None means that the database does not answer: the feedback waits in the spool.
        """
        try:
            return await asyncio.to_thread(self._give, feedback)
        except JournalUnavailable:
            self._spool.append(feedback)
            return None

    def status(self) -> SpoolStatus:
        """The records that wait to be shipped."""
        return self._spool.status()

    def close(self) -> None:
        """Write the remaining records and ship as many as possible in time; the rest stays on the
        disk.

        Only the first call does anything.
        """
        if self._closing.is_set():
            return
        atexit.unregister(self.close)
        self._closing.set()
        deadline = time.monotonic() + _CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._spool.close()
        self._store.close()

    def _give(self, feedback: FeedbackRecord) -> bool:
        self._store.migrate_once()
        found = self._store.find(feedback.response_id, feedback.started_at)
        self._store.add([feedback])
        return found is not None and any(f.kind == feedback.kind for f in found.feedback)

    def _write(self) -> None:
        while not self._closing.wait(_WRITE_S):
            self._spool.write()
        self._spool.write(last=True)
        self._written.set()

    def _ship(self) -> None:
        adopt, prune = _Every(_ADOPT_S), _Every(_PRUNE_S)
        pause, is_well = 0.0, True
        while not self._closing.wait(pause):
            pause = self._ship_s
            try:
                if adopt.is_due():
                    self._spool.adopt()
                self._ship_all()
                if prune.is_due():
                    self._prune()
                is_well = True
            except (JournalUnavailable, OSError) as exc:
                if is_well:
                    logger.error("%s Records wait in the spool meanwhile.", exc)
                is_well = False
        self._written.wait()
        try:
            self._ship_all()
        except (JournalUnavailable, OSError) as exc:
            logger.error("%s What is left stays in the spool.", exc)

    def _ship_all(self) -> None:
        self._store.migrate_once()
        while batch := self._spool.waiting(_BATCH_BYTES):
            self._store.migrate_once()
            self._ship_files(batch)

    def _ship_files(self, batch: list[Path]) -> None:
        parsed = (self._parsed(line) for file in batch for line in spool_files.lines_of(file))
        records = [record for record in parsed if record is not None]
        try:
            self._store.add(records)
        except RecordRefused:
            for record in records:
                self._ship_one(record)
        for file in batch:
            self._spool.remove(file)

    def _parsed(self, line: str) -> Record | None:
        try:
            return from_line(line)
        except ValueError as exc:
            self._reject(line, exc)
            return None

    def _ship_one(self, record: Record) -> None:
        try:
            self._store.add([record])
        except RecordRefused as exc:
            self._reject(to_line(record), exc)

    def _reject(self, line: str, cause: Exception) -> None:
        logger.error("A record cannot be journalled and was put into rejected.jsonl: %s", cause)
        self._spool.reject(line)

    def _prune(self) -> None:
        now = time.time()
        limits = (self.retention_s, self._content_retention_s)
        before, content_before = (None if kept is None else now - kept for kept in limits)
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
