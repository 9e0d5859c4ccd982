"""Records on their way to the database, in files of this machine, so that tokens do not wait for
them.

Records are written several times per second, so that they survive their process, and synced once
per second, so that they survive their machine. Another writer adopts the files of an ended one.
journal.py writes the spool, and flush.py moves its files to the database.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from blended.journal import spool_files
from blended.journal.records import Record, ResponseRecord, from_line, to_line

logger = logging.getLogger(__name__)

_IN_MEMORY = 20_000


@dataclass(frozen=True)
class SpoolStatus:
    """The waiting records: bytes on disk, the oldest one's age in seconds; the dropped ones."""

    bytes: int
    age_s: float
    dropped_records: int
    dropped_contents: int


class Spool:
    """A bounded queue of records in files, each of which is removed once it has been flushed.

    Beyond `max_bytes` the contents of the oldest records are dropped first, then the oldest
    records. Files are synced, and ready to be flushed, `sync_s` seconds after they were begun.
    `clock` gives Unix seconds, which files are named by, `stopwatch` seconds that nobody sets.
    `append` may be called from any thread, `write` and `close` from one, the rest from another.
    """

    def __init__(
        self,
        root: Path,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
        sync_s: float = 1.0,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root, self._max_bytes, self._sync_s = root, max_bytes, sync_s
        self._clock, self._stopwatch, self._sync_at = clock, stopwatch, 0.0
        self._new = deque[Record]()
        self._lock = threading.Lock()  # of what follows
        self._sizes, self._bytes = dict[Path, int](), 0
        self._since = dict[Path, float]()  # by the stopwatch
        self._part: spool_files.Part | None = None
        self._dropped_records = self._dropped_contents = 0
        self._fails = False
        self._folder, self._held = spool_files.claim(root)

    def append(self, record: Record) -> None:
        """Take a record; it is written with the next `write`."""
        self._new.append(record)

    def write(self, last: bool = False) -> None:
        """Write the newly appended records, sync once per second, and keep within the bound.

        Records that cannot be written stay in memory, up to 20,000, for the next call.
        """
        try:
            if not spool_files.holds(self._folder, self._held):
                self._renew()
            self._write()
            self._finish(at_once=last)
            if self._bytes > self._max_bytes:
                self._trim()
            self._fails = False
        except OSError as exc:
            self._fail(exc)

    def waiting(self, limit: int) -> list[Path]:
        """Files that are whole, oldest first, of `limit` bytes together, but at least one."""
        with self._lock:
            chosen, size = list[Path](), 0
            for file in sorted(self._sizes):
                size += self._sizes[file]
                if chosen and size > limit:
                    break
                chosen.append(file)
        return chosen

    def remove(self, file: Path) -> None:
        """Forget a file whose records have arrived."""
        with self._lock:
            self._bytes -= self._sizes.pop(file, 0)
            self._since.pop(file, None)
            file.unlink(missing_ok=True)

    def reject(self, line: str) -> None:
        """Keep a line that the database will never take, for a person to look at."""
        rejected = self._root / spool_files.REJECTED
        with spool_files.locked(rejected), rejected.open("a") as file:
            file.write(line + "\n")

    def adopt(self) -> None:
        """Take over the files of ended writers."""
        for folder in self._root.iterdir():
            if folder != self._folder and folder.is_dir():
                held = spool_files.lock(folder)
                if held is not None:
                    self._take_over(folder)
                    os.close(held)

    def status(self) -> SpoolStatus:
        """The size and the age of the waiting records."""
        with self._lock:
            since = list(self._since.values())
            part, size = self._part, self._bytes
        if part is not None:
            since.append(self._sync_at - self._sync_s)
            size += part.size
        age = self._stopwatch() - min(since) if since else 0.0
        return SpoolStatus(size, age, self._dropped_records, self._dropped_contents)

    def close(self) -> None:
        """Release the folder; another writer adopts the files in it."""
        if not self._sizes and self._part is None:
            spool_files.discard(self._folder)
        os.close(self._held)

    def _write(self) -> None:
        taken = [self._new.popleft() for _ in range(len(self._new))]
        if not taken:
            return
        try:
            part = self._part or self._begin()
            part.write("".join(to_line(record) + "\n" for record in taken).encode())
        except OSError:
            self._new.extendleft(reversed(taken))
            raise

    def _begin(self) -> spool_files.Part:
        self._part = spool_files.Part(self._folder, self._clock())
        self._sync_at = self._stopwatch() + self._sync_s
        return self._part

    def _renew(self) -> None:
        """Go on in a new folder, because somebody has deleted this one."""
        with self._lock:
            lost, self._bytes = len(self._sizes), 0
            self._sizes.clear()
            self._since.clear()
        logger.error(
            "The journal's spool '%s' was deleted while it was in use, with %d files of records "
            "that were not in the database yet; a new one is made.",
            self._folder,
            lost,
        )
        os.close(self._held)
        self._folder, self._held = spool_files.claim(self._root)
        part, self._part = self._part, None
        if part is not None:
            self._begin().write(part.give_up())

    def _finish(self, at_once: bool) -> None:
        part = self._part
        if part is not None and (at_once or self._stopwatch() >= self._sync_at):
            self._keep(part.finish(), part.size, self._sync_at - self._sync_s)
            self._part = None

    def _keep(self, file: Path, size: int, since: float) -> None:
        with self._lock:
            self._bytes += size - self._sizes.get(file, 0)
            self._sizes[file], self._since[file] = size, since

    def _fail(self, cause: OSError) -> None:
        excess = max(0, len(self._new) - _IN_MEMORY)
        for _ in range(excess):
            self._new.popleft()
        self._dropped_records += excess
        if self._fails and not excess:
            return  # it was said when it began
        self._fails = True
        logger.error(
            "The journal's spool cannot be written (%s): %d records wait in memory, %d were lost; "
            "make room in %s.",
            cause,
            len(self._new),
            excess,
            self._root,
        )

    def _take_over(self, folder: Path) -> None:
        for file in sorted(folder.iterdir()):
            if file.suffix in (spool_files.PART, spool_files.WHOLE):
                # A part's last line may be torn: readers of the file leave it out.
                whole = file.rename(self._folder / (file.stem + spool_files.WHOLE))
                waited_s = max(0.0, self._clock() - spool_files.begun_at(whole))
                self._keep(whole, whole.stat().st_size, self._stopwatch() - waited_s)
        spool_files.discard(folder)

    def _trim(self) -> None:
        before = self._dropped_records, self._dropped_contents
        for give_up in (self._strip, self._drop):
            for file in sorted(self._sizes):
                if self._bytes > self._max_bytes:
                    give_up(file)
        logger.error(
            "The journal's spool is full (%d bytes): the contents of %d responses and %d whole "
            "records were given up; bring the database back.",
            self._max_bytes,
            self._dropped_contents - before[1],
            self._dropped_records - before[0],
        )

    def _strip(self, file: Path) -> None:
        """Take the contents out of a file's records."""
        if file.name.endswith(spool_files.BARE):
            return
        stripped, lines = 0, list[str]()
        for line in spool_files.lines_of(file):
            bare_line = _without_content(line)
            stripped += bare_line != line
            lines.append(f"{bare_line}\n")
        bare = file.with_name(file.name.removesuffix(spool_files.WHOLE) + spool_files.BARE)
        size = bare.write_text("".join(lines))
        since = self._since[file]
        self.remove(file)
        self._keep(bare, size, since)
        self._dropped_contents += stripped

    def _drop(self, file: Path) -> None:
        self._dropped_records += sum(1 for _ in spool_files.lines_of(file))
        self.remove(file)


def _without_content(line: str) -> str:
    """A record's line without its texts; a line that is no record stays as it is."""
    try:
        record = from_line(line)
    except ValueError:
        return line
    if isinstance(record, ResponseRecord) and record.content is not None:
        return to_line(replace(record, content=None))
    return line
