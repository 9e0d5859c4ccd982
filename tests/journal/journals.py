"""Journals of a test's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blended.journal.identity import Identity
from blended.journal.journal import Journal
from blended.journal.spool import Spool
from blended.journal.store import Store

IDENTITY = Identity("secret")


def database(folder: Path) -> str:
    """The address of a SQLite file in a folder."""
    return f"sqlite:///{folder / 'journal.db'}"


@contextmanager
def journal(folder: Path, url: str | None = None, **settings: Any) -> Iterator[Journal]:
    """A journal whose spool is in `folder`, and its database unless there is a `url`.

    It ships more often than on a cluster, so that tests need not wait.
    """
    defaults = {"keep_content": False, "retention_s": None, "content_retention_s": None}
    spool, store = Spool(folder / "spool", 2**24, sync_s=0.1), Store(url or database(folder))
    opened = Journal(spool, store, IDENTITY, **(defaults | settings), flush_s=0.1)
    try:
        yield opened
    finally:
        opened.close()
