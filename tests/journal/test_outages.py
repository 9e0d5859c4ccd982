"""What becomes of records while the journal's database is gone, replaced, full or closed to us."""

import asyncio
import logging
import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, make_url

from blended.journal.journal import Journal
from blended.journal.store import JournalUnavailable
from tests.journal.databases import execute, kept
from tests.journal.journals import database, journal
from tests.journal.samples import response
from tests.support import eventually

REPLACED = "was deleted or replaced"
# More than is left of any page.
LONG = {"messages": ["word " * 10_000]}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a SQLite file that is not there yet."""
    return database(tmp_path)


@pytest.fixture
def routers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[list[Journal]]:
    """The journals of two routers on one SQLite file, which has one record of each."""
    with caplog.at_level(logging.ERROR), journal(tmp_path) as one, journal(tmp_path) as other:
        yield [one, other]


async def tell(routers: list[Journal], url: str, *numbers: int) -> None:
    """Have the routers record these in turn, and wait until they are in the database."""
    for number in numbers:
        routers[number % len(routers)].append(response(number))
    await eventually(lambda: recorded(url) >= {*numbers}, timeout_s=60)


async def noticed(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until both routers have said that the file is another.

    Whoever opens it before that finds the WAL of the other file beside it.
    """
    await eventually(lambda: caplog.text.count(REPLACED) >= 2, timeout_s=60)


def recorded(url: str) -> set[int]:
    """The numbers of the records in a database; none while it has no tables."""
    try:
        return {int(row.request_id.removeprefix("request-")) for row in kept(url)}
    except JournalUnavailable:
        return set()


async def test_a_file_that_is_deleted_is_made_anew(
    tmp_path: Path, url: str, routers: list[Journal], caplog: pytest.LogCaptureFixture
) -> None:
    """What comes later is in the new file, also beside a WAL that was left; it is said."""
    await tell(routers, url, 0, 1)
    (tmp_path / "journal.db").unlink()
    await noticed(caplog)
    await tell(routers, url, 2, 3)

    assert recorded(url) == {2, 3}


async def test_an_older_file_that_is_put_back_takes_what_comes_later(
    tmp_path: Path, url: str, routers: list[Journal], caplog: pytest.LogCaptureFixture
) -> None:
    """Its own records are there, and it is whole: the WAL of the file before it is not its own."""
    file, backup = tmp_path / "journal.db", tmp_path / "backup.db"
    await tell(routers, url, 0, 1)
    execute(url, f"VACUUM INTO '{backup}'")
    await tell(routers, url, *range(2, 400))
    backup.rename(file)
    await noticed(caplog)
    await tell(routers, url, 400, 401)

    assert recorded(url) == {0, 1, 400, 401}
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


async def test_a_file_of_an_older_schema_is_migrated(
    tmp_path: Path, url: str, routers: list[Journal]
) -> None:
    """Even one without any table, by whatever way it came."""
    file = tmp_path / "journal.db"
    await tell(routers, url, 0, 1)
    empty = sqlite3.connect(tmp_path / "empty.db")
    empty.execute("CREATE TABLE others (a)")
    restored = sqlite3.connect(file)
    empty.backup(restored)  # into the same file, as the command line's .restore does
    empty.close()
    restored.close()
    await tell(routers, url, 2, 3)

    assert recorded(url) == {2, 3}


async def load(routers: list[Journal], told: list[int], moved: asyncio.Event) -> None:
    """Have the routers record on and on, until some time after the file has moved."""
    while not moved.is_set() or len(told) % 500:
        routers[len(told) % len(routers)].append(response(len(told)))
        told.append(len(told))
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("seed", range(4))
async def test_a_file_that_is_moved_under_load_loses_no_record(
    tmp_path: Path,
    url: str,
    routers: list[Journal],
    caplog: pytest.LogCaptureFixture,
    seed: int,
) -> None:
    """Each record is in the file that was moved or in the new one, at whatever moment it moves."""
    told, moved = list[int](), asyncio.Event()
    file = tmp_path / "journal.db"
    await tell(routers, url, 10_000, 10_001)
    loading = asyncio.create_task(load(routers, told, moved))
    await asyncio.sleep(random.Random(seed).uniform(0.2, 1.0))
    for end in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.rename(f"{file}{end}", tmp_path / f"old.db{end}")
    moved.set()
    await noticed(caplog)
    await loading
    await tell(routers, url, 10_002, 10_003)

    there = recorded(f"sqlite:///{tmp_path / 'old.db'}") | recorded(url)
    assert there == {*told, *range(10_000, 10_004)}


# Begins when it is entered, and ends with a call of what it yields.
Outage = Callable[[str], AbstractContextManager[Callable[[], object]]]


@contextmanager
def pragma(on: str, off: str) -> Iterator[Callable[[], object]]:
    """A setting of every transaction in SQLite."""
    settings = [on]

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA {settings[-1]}")

    event.listen(Engine, "begin", begin)
    yield partial(settings.append, off)
    event.remove(Engine, "begin", begin)


def full_disk(url: str) -> AbstractContextManager[Callable[[], object]]:
    """Any further page is one too many, of which SQLite says the same (SQLITE_FULL)."""
    return pragma("max_page_count = 1", "max_page_count = 1000000")


def read_only_file(url: str) -> AbstractContextManager[Callable[[], object]]:
    """SQLite refuses to write as it does to a file that is read-only (SQLITE_READONLY)."""
    return pragma("query_only = 1", "query_only = 0")


@contextmanager
def wrong_password(url: str) -> Iterator[Callable[[], object]]:
    """The password of the journal's role is changed."""
    change = f"ALTER ROLE {make_url(url).username} PASSWORD"
    execute(_by_owner(url), f"{change} 'another'", _END_OTHERS)
    yield partial(execute, _by_owner(url), f"{change} 'right'")


@contextmanager
def read_only_server(url: str) -> Iterator[Callable[[], object]]:
    """The database takes no writes, as one that another has taken over from."""
    change = f"ALTER DATABASE {make_url(url).database} SET default_transaction_read_only"
    execute(_by_owner(url), f"{change} = on", _END_OTHERS)
    writing = f"{_by_owner(url)}&options=-c%20default_transaction_read_only%3Doff"
    yield partial(execute, writing, f"{change} = off", _END_OTHERS)


_END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
)


def _by_owner(url: str) -> str:
    address = make_url(url).set(username="postgres", password=None)
    return address.render_as_string(hide_password=False)


@pytest.fixture
def with_password(postgresql: str) -> str:
    """The address of an empty database whose role has to give its password."""
    address = make_url(postgresql)
    role = f"role_{address.database}"
    [rules] = execute(postgresql, "SHOW hba_file")
    text = Path(rules).read_text()
    Path(rules).write_text(f"local all {role} scram-sha-256\n{text}")
    execute(
        postgresql,
        f"CREATE ROLE {role} LOGIN PASSWORD 'right'",
        f"ALTER DATABASE {address.database} OWNER TO {role}",
        "SELECT pg_reload_conf()",
    )
    return address.set(username=role, password="right").render_as_string(hide_password=False)


@pytest.mark.parametrize(
    ("address", "outage", "said"),
    [
        ("url", full_disk, "disk is full"),
        ("url", read_only_file, "readonly database"),
        ("with_password", wrong_password, "password authentication failed"),
        ("with_password", read_only_server, "read-only transaction"),
    ],
)
async def test_records_wait_until_the_database_takes_them(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
    address: str,
    outage: Outage,
    said: str,
) -> None:
    """The reason is said once and the spool's age tells of it; none is lost or set aside."""
    url: str = request.getfixturevalue(address)
    with caplog.at_level(logging.ERROR), journal(tmp_path, url) as opened:
        await tell([opened], url, 1)
        with outage(url) as end:
            opened.append(response(2, content=LONG))
            await eventually(lambda: "Records wait in the spool" in caplog.text, timeout_s=30)
            opened.append(response(3))
            await eventually(lambda: opened.status().age_s > 0.5)
            waiting = opened.status()
            end()
            await eventually(lambda: recorded(url) == {1, 2, 3}, timeout_s=60)

    assert waiting.bytes > 0
    assert said in caplog.text
    assert caplog.text.count("Records wait in the spool") == 1
    assert "right" not in caplog.text
    assert not (tmp_path / "spool" / "rejected.jsonl").exists()


async def test_an_empty_database_in_place_of_the_old_one_is_migrated(
    tmp_path: Path, postgresql: str
) -> None:
    """All that the journal has in PostgreSQL is dropped while a router has it open."""
    url = postgresql
    with journal(tmp_path, url) as opened:
        await tell([opened], url, 1)
        execute(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        await tell([opened], url, 2)

    assert recorded(url) == {2}


async def test_a_ruined_file_holds_nothing_but_its_own_records(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Written over where it is: later records wait until it is taken away."""
    file = tmp_path / "journal.db"
    with caplog.at_level(logging.ERROR), journal(tmp_path) as opened:
        await tell([opened], url, 1)
        execute(url, "PRAGMA wal_checkpoint(TRUNCATE)")
        file.write_bytes(b"\0" * file.stat().st_size)
        opened.append(response(2))
        await eventually(lambda: "Records wait in the spool" in caplog.text)
        file.unlink()
        await eventually(lambda: recorded(url) == {2}, timeout_s=60)

    assert recorded(url) == {2}
