"""Takes one user out of the journal: out of its database, and out of the files of its spools."""

import fcntl
import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, select, tuple_

from blended.journal import spool_files
from blended.journal.records import ResponseRecord, from_line
from blended.journal.tables import contents, feedback, responses

_DIGITS = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_ID_DIGITS = 32


def ids_of(connection: Connection, user: str) -> list[str]:
    """The ids of all responses of a user, by hash."""
    return list(connection.scalars(select(responses.c.response_id).where(responses.c.user == user)))


def forget(connection: Connection, user: str) -> int:
    """Delete a user's responses, by hash, with texts and feedback; returns how many responses.

    Feedback goes by the digits of the id that it is on, so that no other way of writing the id
    keeps a comment.
    """
    theirs = select(responses.c.started_at, responses.c.response_id).where(responses.c.user == user)
    key = tuple_(contents.c.started_at, contents.c.response_id)
    connection.execute(delete(contents).where(key.in_(theirs)))
    connection.execute(delete(feedback).where(_is_on_a_response_of(user)))
    return connection.execute(delete(responses).where(responses.c.user == user)).rowcount


def _is_on_a_response_of(user: str) -> Any:
    name = responses.c.response_id
    digits = func.substr(name, func.length(name) - (_ID_DIGITS - 1))
    same = and_(
        responses.c.user == user,
        responses.c.started_at == feedback.c.started_at,
        feedback.c.response_id.contains(digits),
    )
    return exists().where(same).correlate(feedback)


def forget_waiting(root: Path, user: str, ids: Collection[str]) -> int:
    """Take a user's records out of a spool's folder, and out of what no database took.

    `ids` are those of the user's responses that are known; those that wait are found by the user.
    Returns how many lines stay, because a writer that runs holds their files: they are on their
    way to the database.
    """
    if not root.is_dir():
        return 0
    spooled = [file for folder in root.iterdir() if folder.is_dir() for file in _files(folder)]
    rejected = root / spool_files.REJECTED
    lines = (line for file in [*spooled, rejected] for line in spool_files.lines_of(file))
    theirs = {user, *(name[-_ID_DIGITS:] for name in [*ids, *_waiting_ids(lines, user)])}

    def is_theirs(line: str) -> bool:
        return not theirs.isdisjoint(_DIGITS.findall(line))

    with spool_files.locked(rejected):
        _strip(rejected, is_theirs)
    for folder in {file.parent for file in spooled}:
        with _abandoned(folder) as is_abandoned:
            if is_abandoned:
                for file in _files(folder):
                    _strip(file, is_theirs)
    return sum(is_theirs(line) for file in spooled for line in spool_files.lines_of(file))


def _files(folder: Path) -> list[Path]:
    return [
        file for file in folder.iterdir() if file.suffix in (spool_files.PART, spool_files.WHOLE)
    ]


def _waiting_ids(lines: Iterator[str], user: str) -> Iterator[str]:
    for line in lines:
        if user in line:
            try:
                record = from_line(line)
            except ValueError:
                continue
            if isinstance(record, ResponseRecord) and record.user == user:
                yield record.response_id


@contextmanager
def _abandoned(folder: Path) -> Iterator[bool]:
    """Hold a folder whose writer is gone; False where one holds it."""
    held = spool_files.lock(folder)
    try:
        yield held is not None
    finally:
        if held is not None:
            fcntl.flock(held, fcntl.LOCK_UN)
            os.close(held)


def _strip(file: Path, is_theirs: Callable[[str], bool]) -> None:
    """Leave the lines of others; the file is replaced as a whole, if it changes at all."""
    lines = list(spool_files.lines_of(file))
    kept = [line for line in lines if not is_theirs(line)]
    if len(kept) < len(lines):
        spool_files.replace(file, "".join(f"{line}\n" for line in kept))
