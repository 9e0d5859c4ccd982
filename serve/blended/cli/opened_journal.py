"""What the commands that read the journal share: its address, the open database, their progress."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from blended.journal.store import Store

Address = Annotated[
    str | None,
    typer.Option(help="The database, if neither BLENDED_JOURNAL_URL nor this user's own file."),
]


@contextmanager
def opened(url: str | None) -> Iterator["Store"]:
    """The journal at an address, up to date; no command but `migrate` makes one.

    Raises:
        ConfigError: there is no journal at the address.
    """
    # These imports take a while; the other commands of `blended` do not need them.
    from blended.journal.from_config import open_store

    with closing(open_store(os.environ, url)) as store:
        store.open()
        yield store


@contextmanager
def progress() -> Iterator[Callable[[float], None]]:
    """Shows the part of the reading that is done, from 0 to 1, apart from the requested output."""
    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("reading the journal", total=1.0)
        yield lambda done: shown.update(task, completed=done)
