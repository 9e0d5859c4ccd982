"""The files that the journal is exported to."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyarrow import parquet
from sqlalchemy import insert, select

from blended.journal.export import Format, export
from blended.journal.records import FeedbackRecord
from blended.journal.store import JournalUnavailable, Store
from blended.journal.tables import responses
from tests.journal.samples import response

BEGIN = response(0).started_at
FAILURE = {"component": "a", "reason": "full"}
TEXTS = {"messages": [{"role": "user", "content": "\0 \ud800"}]}


@pytest.fixture
def filled(store: Store) -> Store:
    """Three responses, a second apart, with a comment on the second."""
    second = response(1, content=TEXTS, failures=[FAILURE], ttft_s=None)
    comment = FeedbackRecord(
        second.response_id, second.started_at, "comment", BEGIN + 7.25, text="hm"
    )
    store.add([response(0), second, response(2), comment])
    return store


def test_parquet_has_types_that_analysts_expect(filled: Store, tmp_path: Path) -> None:
    """Times are timestamps in UTC, and what is nested stays so."""
    written = export(filled, BEGIN + 1, BEGIN + 2, tmp_path, "parquet")

    assert written == {tmp_path / "responses.parquet": 1, tmp_path / "feedback.parquet": 1}
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written}
    (row,) = parquet.read_table(tmp_path / "responses.parquet").to_pylist()
    expected = vars(response(1, failures=[FAILURE], ttft_s=None))
    assert row == {
        **{name: value for name, value in expected.items() if name != "content"},
        "started_at": datetime.fromtimestamp(BEGIN + 1, UTC),
        "probabilities": [("a", 0.25), ("b", 0.75)],
    }
    (row,) = parquet.read_table(tmp_path / "feedback.parquet").to_pylist()
    assert row["at"] == datetime.fromtimestamp(BEGIN + 7.25, UTC)
    assert (row["kind"], row["text"], row["derived"]) == ("comment", "hm", False)


def test_lines_are_the_rows(filled: Store, tmp_path: Path) -> None:
    """In the order in which the responses started, with times in Unix seconds."""
    written = export(filled, 0, 1e10, tmp_path / "new", "jsonl")

    assert list(written.values()) == [3, 1]
    lines = (tmp_path / "new" / "responses.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["started_at"] for row in rows] == [BEGIN, BEGIN + 1, BEGIN + 2]
    assert rows[1]["failures"] == [FAILURE]


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_contents_are_exported_on_request(
    filled: Store, tmp_path: Path, file_format: Format
) -> None:
    """As text in Parquet, which keeps characters that are none."""
    export(filled, 0, 1e10, tmp_path, file_format)
    assert not (tmp_path / f"contents.{file_format}").exists()
    written = export(filled, 0, 1e10, tmp_path, file_format, with_contents=True)

    path = tmp_path / f"contents.{file_format}"
    assert written[path] == 1
    if file_format == "parquet":
        (row,) = parquet.read_table(path).to_pylist()
        assert json.loads(row["content"]) == TEXTS
    else:
        assert json.loads(path.read_text())["content"] == TEXTS


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_an_export_of_nothing_has_columns_but_no_rows(
    store: Store, tmp_path: Path, file_format: Format
) -> None:
    """So that whoever reads it need not ask whether it is there."""
    written = export(store, 0, 1e10, tmp_path, file_format)

    assert list(written.values()) == [0, 0]
    assert all(path.exists() for path in written)


def test_many_rows_come_in_several_groups(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is lost at the borders of groups or batches."""
    monkeypatch.setattr("blended.journal.export._ROWS_AT_ONCE", 2)
    monkeypatch.setattr("blended.journal.export._ROWS_IN_GROUP", 4)
    filled.add([response(number) for number in range(3, 11)])
    export(filled, 0, 1e10, tmp_path, "parquet")

    file = parquet.ParquetFile(tmp_path / "responses.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 4, 3]
    names = file.read(["response_id"]).column(0).to_pylist()
    assert names == [response(number).response_id for number in range(11)]


def test_an_export_that_fails_leaves_the_file_before(filled: Store, tmp_path: Path) -> None:
    """And nothing of its own."""
    (tmp_path / "responses.jsonl").write_text("before")
    with pytest.raises(JournalUnavailable):
        export(Store("postgresql://127.0.0.1:9/journal"), 0, 1e10, tmp_path, "jsonl")

    assert [path.name for path in tmp_path.iterdir()] == ["responses.jsonl"]
    assert (tmp_path / "responses.jsonl").read_text() == "before"


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_the_memory_does_not_grow_with_the_rows(
    store: Store, url: str, tmp_path: Path, file_format: Format
) -> None:
    """Sixty times the rows take at most 10 MB more; fetched as a whole they took 20 to 50."""
    store.add([response(number, started_at=BEGIN + number / 1000) for number in range(1000)])
    small = _peak_mb(url, tmp_path, file_format)
    for power in range(6):
        _double(store, 2**power)
    large = _peak_mb(url, tmp_path, file_format)

    assert large - small < 10


def _double(store: Store, seconds: int) -> None:
    """Copy all responses, so much later."""
    later = {
        "started_at": responses.c.started_at + seconds,
        "response_id": responses.c.response_id + f"-{seconds}",
    }
    copies = select(*(later.get(column.name, column) for column in responses.c))
    with store._database.writing() as connection:
        connection.execute(insert(responses).from_select(list(responses.c.keys()), copies))


def _peak_mb(url: str, folder: Path, file_format: Format) -> float:
    """The most memory that an export takes, in a process of its own."""
    code = (
        "import resource, blended.journal.export as e\n"
        "from pathlib import Path\n"
        "e._ROWS_IN_GROUP = 5000\n"
        f"rows = e.export(e.Store({url!r}), 0, 1e10, Path({str(folder)!r}), {file_format!r})\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    return int(done.stdout) / 1024
