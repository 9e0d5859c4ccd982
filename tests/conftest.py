"""The journal's two databases: files of SQLite, and a PostgreSQL that needs no installation."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest
from sqlalchemy import make_url

from blended.journal.store import Store
from loadtests.harness.postgres import postgres
from tests.journal.databases import execute

_NUMBERS = count()

# Workers of pytest-xdist have it; a console made in one of them would keep that width for good.
os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a PostgreSQL that lives as long as the tests."""
    with postgres() as running:
        # Nothing here has to survive a loss of power.
        execute(running.url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield running.url


@pytest.fixture
def postgresql(server: str) -> str:
    """The address of an empty database in PostgreSQL."""
    name = f"journal_{next(_NUMBERS)}"
    execute(server, f"CREATE DATABASE {name}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'journal.db'}"
    address: str = request.getfixturevalue("postgresql")
    return address


@pytest.fixture
def opened() -> Iterator[Callable[..., Store]]:
    """Opens stores, and closes them after the test."""
    with ExitStack() as stack:

        def open_store(url: str, **options: float) -> Store:
            store = Store(url, **options)
            stack.callback(store.close)
            return store

        yield open_store


@pytest.fixture
def store(url: str, opened: Callable[..., Store]) -> Store:
    """A journal without records."""
    store = opened(url)
    store.migrate()
    return store
