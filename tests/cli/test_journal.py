"""`blended journal`, on a database of each kind."""

import json
from pathlib import Path

import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from blended.cli import journal
from blended.errors import ConfigError
from blended.journal.identity import SECRET_ENV, Identity
from blended.journal.records import FeedbackRecord
from blended.journal.store import Store
from tests.journal.databases import kept
from tests.journal.journals import database
from tests.journal.samples import response

SECRET = "secret"
ADA = Identity(SECRET).user("ada")


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A journal of three responses, two of them ada's, one with a text, one liked."""
    monkeypatch.setenv(SECRET_ENV, SECRET)
    url = database(tmp_path)
    store = Store(url)
    store.migrate()
    first = response(1, user=ADA, content={"messages": ["hello"]})
    store.add([first, response(2, user=ADA), response(3)])
    store.add([FeedbackRecord(first.response_id, first.started_at, "thumb", 1.0, 1)])
    store.close()
    return url


def run(url: str, *arguments: str | Path) -> Result:
    texts = [*map(str, arguments), "--database", url]
    return CliRunner().invoke(journal.app, texts, catch_exceptions=False)


def test_an_export_is_what_analysts_read(url: str, tmp_path: Path) -> None:
    """Parquet with real times, feedback beside the responses, texts only when asked for."""
    result = run(url, "export", "--since", "2026-09-01", tmp_path / "out")

    table = parquet.read_table(tmp_path / "out" / "responses.parquet")
    liked = parquet.read_table(tmp_path / "out" / "feedback.parquet").to_pylist()
    assert result.exit_code == 0, result.output
    assert table.num_rows == 3
    assert str(table.schema.field("started_at").type) == "timestamp[us, tz=UTC]"
    assert [(row["kind"], row["value"]) for row in liked] == [("thumb", 1.0)]
    assert "responses.parquet: 3 rows" in result.output
    assert not (tmp_path / "out" / "contents.parquet").exists()


def test_an_export_may_be_lines_of_json_with_texts(url: str, tmp_path: Path) -> None:
    """Of a part of the time only."""
    times = ("--since", "2026-09-21T14:13:21Z", "--until", "2026-09-21T14:13:22Z")
    result = run(url, "export", *times, "--to", "jsonl", "--contents", tmp_path / "out")

    lines = (tmp_path / "out" / "responses.jsonl").read_text().splitlines()
    texts = (tmp_path / "out" / "contents.jsonl").read_text().splitlines()
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["response_id"] for line in lines] == [response(1).response_id]
    assert "hello" in texts[0]


def test_a_user_can_be_forgotten(url: str) -> None:
    """By the name that clients use; nothing of the others goes."""
    result = run(url, "forget", "ada")

    assert "Deleted 2 responses" in result.output
    assert [row.response_id for row in kept(url)] == [response(3).response_id]


def test_what_is_too_old_can_be_removed(url: str) -> None:
    """All of it, or texts alone; without saying which, nothing."""
    texts = run(url, "prune", "--contents-older-than", "0.001")
    unsaid = run(url, "prune")
    everything = run(url, "prune", "--older-than", "0.001")

    assert "Removed 0 responses, 1 contents" in texts.output
    assert unsaid.exit_code == 2
    assert "Removed 3 responses" in everything.output
    assert kept(url) == []


@pytest.mark.parametrize(
    "command",
    [("export", "--since", "2026-09-01", "out"), ("prune", "--older-than", "1"), ("forget", "a")],
    ids=lambda command: command[0],
)
def test_only_migrate_makes_a_journal(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong address is said, with the remedy, and leaves no file; an empty file is no journal."""
    monkeypatch.setenv(SECRET_ENV, SECRET)
    monkeypatch.chdir(tmp_path)
    address = f"sqlite:///{tmp_path / 'no' / 'such.db'}"
    with pytest.raises(ConfigError, match=r"There is no journal in .*such\.db: no router has kept"):
        run(address, *command)
    assert list(tmp_path.iterdir()) == []

    assert "up to date" in run(address, "migrate").output
    assert run(address, *command).exit_code == 0


def test_an_export_may_begin_so_long_ago(url: str, tmp_path: Path) -> None:
    """`24h` and the like; the samples are older."""
    result = run(url, "export", "--since", "24h", tmp_path / "out")
    wrong = run(url, "export", "--since", "24 hours", tmp_path / "out")

    assert "responses.parquet: 0 rows" in result.output
    assert wrong.exit_code == 2
    assert "24h" in wrong.output
