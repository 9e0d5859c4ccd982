"""A user who is forgotten leaves no word behind, in whatever file of ours it stood."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blended.cli import journal as command
from blended.folders import STATE_DIR_ENV
from blended.journal.forgetting import forget_waiting
from blended.journal.identity import SECRET_ENV, Identity
from blended.journal.records import FeedbackRecord, Record, ResponseRecord
from blended.journal.spool import Spool
from blended.journal.store import Store
from blended.journal.tables import feedback
from tests.journal.databases import count
from tests.journal.journals import database
from tests.journal.samples import response

SECRET = "secret"
ADA, BOB = (Identity(SECRET).user(name) for name in ("ada", "bob"))
# Long texts take pages of their own, which SQLite only unlinks when a row goes.
HERS = "lighthouse " * 2000
HIS = "windmill"


def comment(on: ResponseRecord, form: str = "{}", text: str = HERS) -> FeedbackRecord:
    """A comment on a response whose id is written in some form."""
    name = form.format(on.response_id, digits=on.response_id[-32:])
    return FeedbackRecord(name, on.started_at, "comment", 1.0, text=text)


def written(user: str, number: int, text: str = HERS) -> ResponseRecord:
    return response(number, user=user, content={"messages": [text], "response": [text]})


def holding(folder: Path, text: str) -> list[str]:
    """The files below a folder whose bytes hold a text."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return [file.name for file in files if text.encode() in file.read_bytes()]


@pytest.mark.parametrize("form", ["{}", "{}\n", "{}\r\n", "cmpl-{digits}", "x{}", "{} "])
def test_comments_go_whatever_the_form_of_the_id(store: Store, form: str) -> None:
    """Also those that an older version took for an id that was written in another way."""
    hers, his = written(ADA, 1), written(BOB, 2, HIS)
    store.add([hers, his, comment(hers, form), comment(his, form, HIS)])

    assert store.forget(ADA) == 1
    assert count(store, feedback) == 1


def test_the_file_and_its_log_hold_no_deleted_word(tmp_path: Path) -> None:
    """While the database stays open: deleted rows are overwritten, and the log is emptied."""
    store = Store(database(tmp_path))
    store.migrate()
    hers, his = written(ADA, 1), written(BOB, 2, HIS)
    store.add([hers, comment(hers), his, comment(his, text=HIS)])
    before = holding(tmp_path, "lighthouse")
    store.forget(ADA)
    after = holding(tmp_path, "lighthouse")
    others = holding(tmp_path, HIS)
    store.close()

    assert before
    assert after == []
    assert others == ["journal.db"]


def test_pruned_texts_are_gone_from_the_files_too(tmp_path: Path) -> None:
    """As those of a forgotten user are."""
    store = Store(database(tmp_path))
    store.migrate()
    store.add([written(ADA, 1)])
    store.prune(None, response(2).started_at)
    left = holding(tmp_path, "lighthouse")
    store.close()

    assert left == []


def left_behind(root: Path, *records: Record) -> None:
    """Spool records, and end without flushing them."""
    writer = Spool(root, 2**24)
    for record in records:
        writer.append(record)
    writer.write(last=True)
    for record in records:
        writer.reject(json.dumps({"odd": vars(record)}))
    writer.close()


def test_what_waits_in_a_spool_is_forgotten(tmp_path: Path) -> None:
    """With what no database took; a comment goes by the response that it is on."""
    hers, his, known = written(ADA, 1), written(BOB, 2, HIS), written(ADA, 3)
    spool = tmp_path / "spool"
    left_behind(spool, hers, comment(hers), his, comment(known))

    assert forget_waiting(spool, ADA, [known.response_id]) == 0
    assert holding(spool, "lighthouse") == []
    assert len(holding(spool, HIS)) == 2


def test_records_that_a_running_writer_holds_are_counted(tmp_path: Path) -> None:
    """They are its own to flush; the command says to do it again."""
    spool = tmp_path / "spool"
    writer = Spool(spool, 2**24)
    for record in (written(ADA, 1), comment(written(ADA, 1)), written(BOB, 2)):
        writer.append(record)
    writer.write(last=True)

    assert forget_waiting(spool, ADA, []) == 2
    writer.close()


def test_no_file_of_the_state_folder_holds_a_forgotten_users_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command, as an operator gives it: database, log, spool and rejected lines."""
    monkeypatch.setenv(SECRET_ENV, SECRET)
    monkeypatch.setenv(STATE_DIR_ENV, str(tmp_path))
    monkeypatch.delenv("BLENDED_JOURNAL_URL", raising=False)
    hers, his = written(ADA, 1), written(BOB, 2, HIS)
    store = Store(database(tmp_path))
    store.migrate()
    store.add([hers, comment(hers), comment(hers, "{}\n"), his])
    left_behind(tmp_path / "spool", written(ADA, 3), comment(hers), his)

    result = CliRunner().invoke(command.app, ["forget", "ada"], catch_exceptions=False)
    left = holding(tmp_path, "lighthouse")
    store.close()

    assert "Deleted 1 responses" in result.output
    assert left == []
    assert holding(tmp_path, HIS)


def test_the_command_says_what_is_still_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router that runs holds its records for some seconds."""
    monkeypatch.setenv(SECRET_ENV, SECRET)
    with closing(Store(database(tmp_path))) as store:
        store.migrate()
    writer = Spool(tmp_path / "elsewhere", 2**24)
    writer.append(written(ADA, 1))
    writer.write(last=True)
    arguments = ["forget", "ada", "--database", database(tmp_path)]
    arguments += ["--spool", str(tmp_path / "elsewhere")]
    result = CliRunner().invoke(command.app, arguments, catch_exceptions=False)
    writer.close()

    assert "Deleted 0 responses" in result.output
    assert "1 records are on their way" in result.output
