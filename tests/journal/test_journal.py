"""From the router to the database: what is told once arrives once, whatever comes between."""

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from blended.journal.records import FeedbackRecord
from blended.journal.store import Store
from tests.journal.journals import database, journal
from tests.journal.samples import response
from tests.support import eventually

DAY_S = 86_400.0


def found(url: str, *numbers: int) -> list[bool]:
    """Which of some records are in the database."""
    store = Store(url)
    records = [response(number) for number in numbers]
    there = [store.find(r.response_id, r.started_at) is not None for r in records]
    store.close()
    return there


def test_closing_ships_what_is_left(tmp_path: Path, url: str) -> None:
    """What was told a moment before the end is in the database afterwards, and no file is left."""
    with journal(tmp_path, url) as opened:
        for number in range(100):
            opened.append(response(number))

    assert all(found(url, *range(100)))
    assert list((tmp_path / "spool").iterdir()) == []


async def test_records_wait_for_the_database(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While it cannot be used they are on the disk, which is said once; then they arrive."""
    away = tmp_path / "away"
    away.touch()  # where a folder should be
    url = database(away)
    with caplog.at_level(logging.ERROR), journal(tmp_path, url) as opened:
        opened.append(response(1))
        await eventually(lambda: bool(list((tmp_path / "spool").glob("*/*.jsonl"))))
        opened.append(response(2))
        feedback = FeedbackRecord(response(1).response_id, response(1).started_at, "star", 1.0, 5)
        given = await opened.give(feedback)
        away.unlink()
        away.mkdir()
        await eventually(lambda: opened.status().bytes == 0, timeout_s=20)

    assert given is None
    assert found(url, 1, 2) == [True, True]
    store = Store(url)
    record = store.find(response(1).response_id, response(1).started_at)
    store.close()
    assert record is not None
    assert record.feedback == (feedback,)
    assert caplog.text.count("Records wait in the spool") == 1


async def test_what_a_database_never_takes_holds_nothing_up(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A record that it refuses, and a line that is none, are set aside; the rest arrives."""
    with journal(tmp_path, url) as opened:
        opened.append(response(1))
        opened.append(response(2, prompt_tokens=2**80))
        opened.append(response(3))
        await eventually(lambda: bool(list((tmp_path / "spool").glob("*/*.part"))))
        [part] = (tmp_path / "spool").glob("*/*.part")
        with part.open("a") as file:
            file.write("nonsense\n")

    rejected = (tmp_path / "spool" / "rejected.jsonl").read_text().splitlines()
    assert found(url, 1, 2, 3) == [True, False, True]
    assert len(rejected) == 2
    assert "nonsense" in rejected
    assert "rejected.jsonl" in caplog.text


async def test_retention_is_kept_without_being_asked(tmp_path: Path, url: str) -> None:
    """Records and texts that are too old go, each by its own limit."""
    now = time.time()
    content = {"messages": ["hello"]}
    with journal(tmp_path, url) as opened:
        for number, days in enumerate((1, 20, 40)):
            opened.append(
                response(number, started_at=round(now - days * DAY_S, 3), content=content)
            )
    limits = {"retention_s": 30 * DAY_S, "content_retention_s": 10 * DAY_S}
    store = Store(url)

    def kept(number: int, days: float) -> Any:
        record = store.find(response(number).response_id, round(now - days * DAY_S, 3))
        return record and record.record.content

    with journal(tmp_path, url, **limits):
        await eventually(lambda: kept(1, 20) is None and kept(2, 40) is None, timeout_s=20)

    assert kept(0, 1) == content
    assert store.find(response(1).response_id, round(now - 20 * DAY_S, 3)) is not None
    assert store.find(response(2).response_id, round(now - 40 * DAY_S, 3)) is None
    store.close()
