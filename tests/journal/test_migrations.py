"""The tables that migrations make, and making them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import make_url

from blended.journal.store import JournalUnavailable, Store
from blended.journal.tables import metadata
from tests.journal.databases import execute
from tests.journal.samples import response

Opened = Callable[..., Store]


def test_migrations_make_the_tables(store: Store) -> None:
    """What they leave is what the code expects, on either database."""
    options = {"compare_type": True, "compare_server_default": True}
    with store._database.reading() as connection:
        context = MigrationContext.configure(connection, opts=options)

        assert compare_metadata(context, metadata) == []


def test_migrating_again_changes_nothing(store: Store) -> None:
    """Every start of a router does so."""
    store.add([response()])
    store.migrate()

    assert store.find(response().response_id, response().started_at)


def test_rows_of_an_earlier_version_stay(url: str, store: Store) -> None:
    """Columns that came later are empty in them."""
    store.add([response()])
    later = ("left", "ahead", "policy", "facts")
    missing: dict[str, Any] = dict.fromkeys(later)
    for column in later:
        execute(url, f'ALTER TABLE responses DROP COLUMN "{column}"')
    execute(url, "UPDATE alembic_version SET version_num = '0003'")
    store.migrate()

    found = store.find(response().response_id, response().started_at)
    assert found is not None
    assert found.record == response(**missing)


def test_several_routers_migrate_at_once(url: str) -> None:
    """Each in its own process: one does it, the others wait and find it done."""
    code = (
        f"from blended.journal.store import Store\n"
        f"store = Store({url!r}, patience_s=60)\n"
        f"input()\n"
        f"store.migrate()\n"
        f"store.find('x', 1.0)"
    )
    routers = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for router in routers:
        router.communicate("\n", timeout=120)

    assert [router.returncode for router in routers] == [0, 0, 0]


def test_a_database_of_a_newer_version_is_left_alone(url: str, store: Store) -> None:
    """A router that does not know it says so instead of writing to it."""
    execute(url, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(JournalUnavailable, match="update Blended"):
        store.migrate()


def test_percent_signs_in_a_path_are_no_trouble(tmp_path: Path, opened: Opened) -> None:
    """Alembic's own configuration would take them for placeholders."""
    store = opened(f"sqlite:///{tmp_path}/100%/%(here)s.db")
    store.migrate()
    store.add([response()])

    assert (tmp_path / "100%" / "%(here)s.db").exists()


def test_percent_signs_in_a_password_are_no_trouble(postgresql: str, opened: Opened) -> None:
    """Nor are other characters that have a meaning in an address."""
    address = make_url(postgresql).set(password="100% @/:#")
    store = opened(address.render_as_string(hide_password=False))
    store.migrate()
    store.add([response()])
