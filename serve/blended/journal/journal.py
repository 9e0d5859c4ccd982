"""The journal of one router replica: records are spooled, and flushed in the background."""

import asyncio
import atexit
import logging
import threading
import time

from blended.journal.flush import Flush
from blended.journal.identity import Identity
from blended.journal.records import FeedbackRecord, Record
from blended.journal.spool import Spool, SpoolStatus
from blended.journal.store import JournalUnavailable, Store, StoredResponse

logger = logging.getLogger(__name__)

_WRITE_S = 0.25
_CLOSE_S = 10.0


class Journal:
    """Keeps records without delaying responses: two threads write and flush them.

    The spool is flushed every `flush_s` seconds, because a single record costs ten times as much as
    one of a hundred. `keep_content` says whether texts are kept; `retention_s` and
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
        flush_s: float = 5.0,
    ) -> None:
        self.identity, self.keep_content, self.retention_s = identity, keep_content, retention_s
        self._spool, self._store, self._flush_s = spool, store, flush_s
        self._flushing = Flush(spool, store, retention_s, content_retention_s)
        self._closing = threading.Event()
        self._written = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=f"journal-{run.__name__}", daemon=True)
            for run in (self._write, self._flush)
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
        """The records that wait to be flushed."""
        return self._spool.status()

    def close(self) -> None:
        """Write the remaining records and flush as many as possible in time; the rest stays on the
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

    def _flush(self) -> None:
        self._flushing.run(self._flush_s, self._closing)
        self._written.wait()
        try:
            self._flushing.all()
        except (JournalUnavailable, OSError) as exc:
            logger.error("%s What is left stays in the spool.", exc)
