"""What goes into the journal's database and comes out of it again, on SQLite and PostgreSQL."""

import pickle
import sqlite3
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from blended.errors import ConfigError
from blended.journal.records import FeedbackRecord, Kind, ResponseRecord
from blended.journal.store import JournalUnavailable, RecordRefused, Store
from blended.journal.tables import contents, feedback, metadata, responses
from tests.journal.databases import count, execute
from tests.journal.samples import response

Opened = Callable[..., Store]

TEXTS = {"messages": [{"role": "user", "content": "a\0b \ud83d c\u2028"}], "response": ["\udfff"]}


def said(on: ResponseRecord, kind: Kind, at: float = 1.0, **fields: Any) -> FeedbackRecord:
    """Feedback that a client gave, so many seconds after the response had started."""
    return FeedbackRecord(on.response_id, on.started_at, kind, on.started_at + at, **fields)


def on(record: ResponseRecord, store: Store) -> dict[str, FeedbackRecord]:
    """The feedback on a response, by kind."""
    found = store.find(record.response_id, record.started_at)
    assert found is not None
    return {feedback.kind: feedback for feedback in found.feedback}


def shows(secret: str, error: BaseException) -> bool:
    """Whether a log of the error and of what caused it would show a secret."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return secret in str(error) or (cause is not None and shows(secret, cause))


@pytest.mark.parametrize(
    ("table", "record", "more"),
    [(responses, ResponseRecord, {"content"}), (feedback, FeedbackRecord, set[str]())],
)
def test_a_table_has_a_column_for_every_field(table: Any, record: Any, more: set[str]) -> None:
    """By the same name; contents are apart, and feedback knows whether it was derived."""
    names = {field.name for field in fields(record)}

    assert {column.name for column in table.c} - {"derived"} == names - more


def test_a_record_is_found_as_it_was_added(store: Store) -> None:
    """Every field, with every kind of value and without any."""
    full = response(
        1,
        lineage="l",
        parent="p",
        experiment="e",
        arm="a",
        replica="r",
        content=TEXTS,
        repetition=0.25,
        needs=["tools"],
        left=["a", "b"],
        ahead="6e",
    )
    kept = {field.name for field in fields(full) if getattr(full, field.name) is not None}
    given = {"failures": [{"component": "a", "reason": "full"}], "stream": False}
    bare = response(2, **dict.fromkeys(_optional()), **given)
    store.add([full, bare])

    for record in (full, bare):
        found = store.find(record.response_id, record.started_at)
        assert found is not None
        assert (found.record, found.feedback, found.replaces) == (record, (), None)
    assert kept == {field.name for field in fields(full)}


def _optional() -> set[str]:
    return {column.name for column in responses.c if column.nullable}


def test_what_is_not_there_is_not_found(store: Store) -> None:
    """Neither before anything was added nor at another time."""
    record = response()

    assert store.find(record.response_id, record.started_at) is None
    store.add([record])
    assert store.find(record.response_id, record.started_at + 1) is None


def test_adding_twice_changes_nothing(store: Store) -> None:
    """A record that comes again, even with other values, leaves the first."""
    record = response(content=TEXTS)
    thumb = said(record, "thumb", value=1.0)
    store.add([record, thumb, record, thumb])
    store.add([thumb, replace(record, content=None, turn=7)])

    found = store.find(record.response_id, record.started_at)
    assert found is not None
    assert (found.record, found.feedback) == (record, (thumb,))


def test_nothing_to_add_needs_no_database() -> None:
    """No connection is made, as none is by a store that is not used."""
    Store("postgresql://nobody@192.0.2.1/nowhere").add([])


def test_contents_are_apart_from_responses(store: Store) -> None:
    """Only responses whose texts are kept have a row there."""
    store.add([response(1), response(2, content=TEXTS), response(3, content={})])

    assert (count(store, responses), count(store, contents)) == (3, 2)


def test_the_latest_feedback_of_a_kind_stays(store: Store) -> None:
    """Whatever the order in which they arrive; other kinds are left alone."""
    record = response()
    star, first, second = (
        said(record, "star", 3, value=4.0),
        said(record, "thumb", 1, value=1.0),
        said(record, "thumb", 2, value=-1.0),
    )
    store.add([record, star, second])
    store.add([first])

    assert on(record, store) == {"star": star, "thumb": second}


def test_feedback_may_come_before_its_response(store: Store) -> None:
    """It waits for the response, which is found with it."""
    record = response()
    thumb = said(record, "thumb", value=1.0)
    store.add([thumb])

    assert store.find(record.response_id, record.started_at) is None
    store.add([record])
    assert on(record, store) == {"thumb": thumb}


def test_texts_that_no_database_takes_are_kept_nevertheless(store: Store) -> None:
    """NUL and lone surrogates survive in contents, and are replaced in what is a column."""
    record = response(content=TEXTS, request_id="\0", finish_reason="\ud800!")
    store.add([record, said(record, "comment", text="so \0 so \udc00")])

    found = store.find(record.response_id, record.started_at)
    assert found is not None
    assert found.record.content == TEXTS
    assert (found.record.request_id, found.record.finish_reason) == ("\ufffd", "\ufffd!")
    assert found.feedback[0].text == "so \ufffd so \ufffd"


@pytest.mark.parametrize(
    "fields",
    [
        {"turn": 2**80},
        {"conversation": None},
        {"content": {"messages": {1, 2}}},
        {"conversation": "\ud800"},
    ],
)
def test_a_record_that_cannot_be_kept_is_refused_with_its_batch(
    store: Store, fields: dict[str, Any]
) -> None:
    """Nothing of the batch is kept; what the record holds is not shown."""
    with pytest.raises(RecordRefused) as caught:
        store.add([response(1, content={"secret": "hunter2"}), response(2, **fields)])

    assert not shows("hunter2", caught.value)
    assert count(store, responses) == 0
    store.add([response(1)])


def test_forgetting_a_user_leaves_nothing_of_them(store: Store) -> None:
    """Responses, texts and feedback of all months; others keep theirs."""
    theirs = [response(n, user="u", started_at=n * 3e6, content=TEXTS) for n in (1, 2, 3)]
    other = response(4, user="v", content=TEXTS)
    store.add([*theirs, other, said(other, "star", value=3.0)])
    store.add([said(record, "comment", text="hm") for record in theirs])

    assert store.forget("u") == 3
    assert store.forget("u") == 0
    assert [count(store, table) for table in (responses, contents, feedback)] == [1, 1, 1]
    assert on(other, store) == {"star": said(other, "star", value=3.0)}


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def monthly() -> list[ResponseRecord]:
    """One at either side of three boundaries of months, in UTC."""
    days = ("2026-01-01", "2026-03-01", "2026-04-01")
    times = [moment(day) + offset for day in days for offset in (-0.001, 0.0)]
    return [response(n, started_at=at, content=TEXTS) for n, at in enumerate(times)]


def test_months_meet_without_a_gap(store: Store) -> None:
    """A response of a month's last millisecond is kept, and so is one of its first."""
    store.add(monthly())

    assert all(store.find(record.response_id, record.started_at) for record in monthly())


def test_pruning_removes_what_is_older(store: Store) -> None:
    """To the millisecond: what started then stays."""
    records = monthly()
    store.add([*records, *(said(record, "star", value=1.0) for record in records)])
    limit = records[3].started_at
    pruned = store.prune(limit, None)

    left = [r for r in records if store.find(r.response_id, r.started_at)]
    assert left == records[3:]
    assert [count(store, table) for table in (responses, contents, feedback)] == [3, 3, 3]
    assert pruned.partitions or pruned.responses == pruned.contents == pruned.feedback == 3


def test_pruning_texts_leaves_the_rest(store: Store) -> None:
    """Contents and comments go, responses and other feedback stay."""
    old, new = response(1, content=TEXTS), response(2, content=TEXTS)
    comments = [said(record, "comment", text="hm") for record in (old, new)]
    store.add([old, new, *comments, said(old, "thumb", value=1.0)])
    pruned = store.prune(None, new.started_at)

    found = store.find(old.response_id, old.started_at)
    assert found is not None
    assert found.record == replace(old, content=None)
    assert [given.kind for given in found.feedback] == ["thumb"]
    assert on(new, store) == {"comment": comments[1]}
    assert (pruned.responses, pruned.contents, pruned.feedback) == (0, 1, 1)


def test_pruning_many_takes_several_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that others can write in between."""
    monkeypatch.setattr("blended.journal.pruning._ROWS_AT_ONCE", 3)
    records = [response(n) for n in range(10)]
    store.add(records)

    assert store.prune(records[8].started_at, None).responses == 8
    assert count(store, responses) == 2


def test_whole_months_are_dropped_as_partitions(postgresql: str, opened: Opened) -> None:
    """They go at once and without a trace, and come back when a late record needs them."""
    store, records = opened(postgresql), monthly()
    store.migrate()
    store.add(records)
    pruned = store.prune(moment("2026-03-01") + 1, moment("2026-04-01"))

    names = "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY 1"
    assert execute(postgresql, names) == [
        "contents_2026_04",
        "feedback_2026_03",
        "feedback_2026_04",
        "responses_2026_03",
        "responses_2026_04",
    ]
    assert (pruned.partitions, pruned.responses) == (10, 1)
    store.add(records)
    assert all(store.find(record.response_id, record.started_at) for record in records)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "hunter2",
        "postgresql://u:hunter2@host:port/db",
    ],
)
def test_an_address_of_no_database_is_an_error(url: str) -> None:
    """It is said at the start, without the address, which may hold a password."""
    with pytest.raises(ConfigError, match="postgresql://") as caught:
        Store(url)

    assert not shows("hunter2", caught.value)


def test_a_database_that_cannot_be_reached_is_unavailable() -> None:
    """The error names it, but not the password."""
    store = Store("postgresql://blended:hunter2@127.0.0.1:9/journal")
    with pytest.raises(JournalUnavailable, match=r"127\.0\.0\.1:9/journal") as caught:
        store.add([response()])

    assert not shows("hunter2", caught.value)


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path, opened: Opened) -> None:
    """As a folder is not."""
    with pytest.raises(JournalUnavailable, match=str(tmp_path)):
        opened(f"sqlite:///{tmp_path}").migrate()


def test_a_database_without_tables_is_unavailable(url: str, opened: Opened) -> None:
    """Until somebody migrates it."""
    store = opened(url)
    with pytest.raises(JournalUnavailable):
        store.find("x", 1.0)
    with pytest.raises(JournalUnavailable):
        store.add([response()])


def test_a_database_that_others_write_to_is_unavailable(url: str, opened: Opened) -> None:
    """After some patience; it can still be read."""
    store, other = opened(url, patience_s=0.01), opened(url)
    store.migrate()
    store.add([response()])
    with other._database.writing(), pytest.raises(JournalUnavailable):
        store.add([response(2)])
    with other._database.writing():
        assert store.find(response().response_id, response().started_at)
    store.add([response(2)])


def test_a_file_that_another_process_begins_is_opened_after_it(
    tmp_path: Path, opened: Opened
) -> None:
    """SQLite refuses at once to begin a log beside somebody's first write."""
    other = sqlite3.connect(tmp_path / "new.db", check_same_thread=False, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ends = Timer(0.3, other.close)
    ends.start()

    store = opened(f"sqlite:///{tmp_path / 'new.db'}")
    store.migrate()
    ends.join()

    assert count(store, responses) == 0


def test_a_lost_connection_is_replaced(postgresql: str, opened: Opened) -> None:
    """The next use does not notice."""
    store = opened(postgresql)
    store.migrate()
    store.add([response()])
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    execute(postgresql, f"{others} AND datname = current_database()")

    store.add([response(2)])
    assert count(store, responses) == 2


def test_the_file_is_private(tmp_path: Path, opened: Opened) -> None:
    """And so are those that SQLite puts beside it; folders are made."""
    path = tmp_path / "not" / "there" / "journal.db"
    store = opened(f"sqlite:///{path}")
    store.migrate()
    store.add([response()])

    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize("error", [JournalUnavailable("a"), RecordRefused("b")])
def test_errors_survive_pickling(error: Exception) -> None:
    """An error is the same on the other side of a process boundary."""
    copy = pickle.loads(pickle.dumps(error))

    assert (type(copy), str(copy)) == (type(error), str(error))


def test_every_index_has_a_name_of_its_own() -> None:
    """SQLite keeps them in one namespace."""
    names = [index.name for table in metadata.tables.values() for index in table.indexes]

    assert len(names) == len(set(names)) == 5
