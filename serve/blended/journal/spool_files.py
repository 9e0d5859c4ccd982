"""The files of a spool: written in parts that become whole, in a folder that its writer holds."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART, WHOLE, BARE = ".part", ".jsonl", ".bare.jsonl"
# What the database will never take, beside the folders of the writers.
REJECTED = "rejected.jsonl"


class Part:
    """The file that is being written; its name says when it was begun."""

    def __init__(self, folder: Path, begun_at: float) -> None:
        self.begun_at, self.size = begun_at, 0
        # The random part keeps files apart when one writer adopts those of another.
        self._path = folder / f"{round(begun_at * 1e3):013d}-{secrets.token_hex(4)}{PART}"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, data: bytes) -> None:
        """Append all of the data, or none.

        Raises:
            OSError: the disk does not take it.
        """
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
            raise
        self.size += written

    def finish(self) -> Path:
        """Sync the file; returns its name now that it is whole.

        Raises:
            OSError: the disk does not take it; it may be finished again.
        """
        os.fsync(self._file)
        whole = self._path.rename(self._path.with_suffix(WHOLE))
        os.close(self._file)
        return whole

    def give_up(self) -> bytes:
        """Close a file that has lost its name; returns what was written."""
        data = os.pread(self._file, self.size, 0)
        os.close(self._file)
        return data


def begun_at(file: Path) -> float:
    """When a file was begun, in Unix seconds."""
    return int(file.name.partition("-")[0]) / 1e3


def lines_of(file: Path) -> Iterator[str]:
    """The whole lines of a file; one that its writer did not finish is left out."""
    with suppress(FileNotFoundError), file.open(errors="replace") as lines:
        yield from (line.rstrip("\n") for line in lines if line.endswith("\n"))


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep other processes that do the same from changing a file meanwhile."""
    held = os.open(file.with_name(f"{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def replace(file: Path, text: str) -> None:
    """Give a file other contents, all at once; only this user may read it."""
    other = file.with_name(f"{file.name}.new")
    with open(os.open(other, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    other.replace(file)


def claim(root: Path) -> tuple[Path, int]:
    """A new folder below `root` that this process holds as long as the descriptor is open."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        folder = root / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        held = lock(folder)
        if held is not None:
            return folder, held


def lock(folder: Path) -> int | None:
    """Hold a folder; None if another process holds it, or it is gone or belongs to another user."""
    try:
        held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if holds(folder, held):
            return held
    os.close(held)
    return None


def holds(folder: Path, held: int) -> bool:
    """Whether what this process holds is still the folder's lock: the folder may be gone."""
    try:
        return os.path.samestat(os.fstat(held), (folder / "lock").stat())
    except FileNotFoundError:
        return False


def discard(folder: Path) -> None:
    """Remove an empty folder that this process holds."""
    with suppress(OSError):
        (folder / "lock").unlink(missing_ok=True)
        folder.rmdir()
