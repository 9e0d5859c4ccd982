"""Records on their way to the database, in files of this machine, so that tokens do not wait for
them.

Records are written several times per second, so that they survive their process, and synced once
per second, so that they survive their machine. Another writer adopts the files of an ended one.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from blended.journal import files
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
    """A bounded queue of records in files, each of which is removed once it has been shipped.

    Beyond `max_bytes` the contents of the oldest records are dropped first, then the oldest
    records. Files are synced, and ready to be shipped, `sync_s` seconds after they were begun.
    `append` may be called from any thread, `write` and `close` from one, the rest from another.
    """

    def __init__(
        self,
        root: Path,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
        sync_s: float = 1.0,
    ) -> None:
        self._root, self._max_bytes, self._clock, self._sync_s = root, max_bytes, clock, sync_s
        self._new = deque[Record]()
        self._lock = threading.Lock()  # of what follows
        self._sizes, self._bytes = dict[Path, int](), 0
        self._part: files.Part | None = None
        self._dropped_records = self._dropped_contents = 0
        self._folder, self._held = files.claim(root)

    def append(self, record: Record) -> None:
        """Take a record; it is written with the next `write`."""
        self._new.append(record)

    def write(self, last: bool = False) -> None:
        """Write the newly appended records, sync once per second, and keep within the bound.

        Records that cannot be written stay in memory, up to 20,000, for the next call.
        """
        try:
            self._write()
            self._finish(at_once=last)
            if self._bytes > self._max_bytes:
                self._trim()
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
            file.unlink(missing_ok=True)

    def reject(self, line: str) -> None:
        """Keep a line that the database will never take, for a person to look at."""
        with (self._root / "rejected.jsonl").open("a") as file:
            file.write(line + "\n")

    def adopt(self) -> None:
        """Take over the files of ended writers."""
        for folder in self._root.iterdir():
            if folder != self._folder and folder.is_dir():
                held = files.lock(folder)
                if held is not None:
                    self._take_over(folder)
                    os.close(held)

    def status(self) -> SpoolStatus:
        """The size and the age of the waiting records."""
        with self._lock:
            begun = [files.begun_at(min(self._sizes))] if self._sizes else []
            part, size = self._part, self._bytes
        if part is not None:
            begun.append(part.begun_at)
            size += part.size
        age = max(0.0, self._clock() - min(begun)) if begun else 0.0
        return SpoolStatus(size, age, self._dropped_records, self._dropped_contents)

    def close(self) -> None:
        """Release the folder; another writer adopts the files in it."""
        if not self._sizes and self._part is None:
            files.discard(self._folder)
        os.close(self._held)

    def _write(self) -> None:
        taken = [self._new.popleft() for _ in range(len(self._new))]
        if not taken:
            return
        try:
            self._part = self._part or files.Part(self._folder, self._clock())
            self._part.write("".join(to_line(record) + "\n" for record in taken).encode())
        except OSError:
            self._new.extendleft(reversed(taken))
            raise

    def _finish(self, at_once: bool) -> None:
        part = self._part
        if part is not None and (at_once or self._clock() - part.begun_at >= self._sync_s):
            self._keep(part.finish(), part.size)
            self._part = None

    def _keep(self, file: Path, size: int) -> None:
        with self._lock:
            self._bytes += size - self._sizes.get(file, 0)
            self._sizes[file] = size

    def _fail(self, cause: OSError) -> None:
        excess = max(0, len(self._new) - _IN_MEMORY)
        for _ in range(excess):
            self._new.popleft()
        self._dropped_records += excess
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
            if file.suffix in (files.PART, files.WHOLE):
                # A part's last line may be torn: readers of the file leave it out.
                whole = file.rename(self._folder / (file.stem + files.WHOLE))
                self._keep(whole, whole.stat().st_size)
        files.discard(folder)

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
        if file.name.endswith(files.BARE):
            return
        stripped, lines = 0, list[str]()
        for line in files.lines_of(file):
            bare_line = _without_content(line)
            stripped += bare_line != line
            lines.append(f"{bare_line}\n")
        bare = file.with_name(file.name.removesuffix(files.WHOLE) + files.BARE)
        size = bare.write_text("".join(lines))
        self.remove(file)
        self._keep(bare, size)
        self._dropped_contents += stripped

    def _drop(self, file: Path) -> None:
        self._dropped_records += sum(1 for _ in files.lines_of(file))
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
