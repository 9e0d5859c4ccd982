"""The journal as files for analysts: Parquet or JSON lines, of any size in little memory.

    export(store, since, until, Path("october"), "parquet")

makes october/responses.parquet and october/feedback.parquet, which `response_id` joins.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pyarrow import parquet
from sqlalchemy import Boolean, Double, Integer, Row, Table, select

from blended.journal.store import Store
from blended.journal.tables import contents, feedback, responses

Format = Literal["parquet", "jsonl"]
Rows = Sequence[Row[Any]]

# The rows in memory at a time: as Python's objects, and as a row group of Parquet.
_ROWS_AT_ONCE, _ROWS_IN_GROUP = 2_000, 100_000

_TIMES = ("started_at", "at")
_TIME = pa.timestamp("us", tz="UTC")
_NESTED = {
    "probabilities": pa.map_(pa.string(), pa.float64()),
    "failures": pa.list_(pa.struct({"component": pa.string(), "reason": pa.string()})),
    "needs": pa.list_(pa.string()),
    "left": pa.list_(pa.string()),
    "facts": pa.struct(
        {
            "version": pa.int32(),
            "turn": pa.int32(),
            "words": pa.int32(),
            "before": pa.string(),
            "pause_s": pa.float64(),
            "retried": pa.bool_(),
        }
    ),
    "candidates": pa.struct(
        {
            "k": pa.int32(),
            "chosen": pa.int32(),
            "chosen_by": pa.string(),
            "reason": pa.string(),
            "scores": pa.list_(pa.float64()),
            "reward_version": pa.string(),
            "rejected_tokens": pa.int32(),
        }
    ),
}


def export(
    store: Store,
    since: float,
    until: float,
    folder: Path,
    file_format: Format,
    with_contents: bool = False,
) -> dict[Path, int]:
    """Write what started from `since` until before `until`; returns the files and their rows.

    Responses and feedback are a file each, and so are contents if requested. Existing files are
    replaced once the new ones are whole.

    Raises:
        JournalUnavailable: the database does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = (responses, feedback, *([contents] if with_contents else []))
    write = {"parquet": _write_parquet, "jsonl": _write_lines}[file_format]
    written = dict[Path, int]()
    for table in tables:
        path = folder / f"{table.name}.{file_format}"
        with _replacing(path) as part:
            written[path] = write(part, table, _rows(store, table, since, until))
    return written


def _rows(store: Store, table: Table, since: float, until: float) -> Iterator[Rows]:
    started_at = table.c.started_at
    chosen = select(table).where(started_at >= since, started_at < until)
    return store.stream(chosen.order_by(*table.primary_key), _ROWS_AT_ONCE)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_lines(path: Path, table: Table, batches: Iterable[Rows]) -> int:
    count = 0
    with path.open("w", encoding="ascii") as file:
        for rows in batches:
            file.writelines(f"{json.dumps(dict(row._mapping))}\n" for row in rows)
            count += len(rows)
    return count


def _write_parquet(path: Path, table: Table, batches: Iterable[Rows]) -> int:
    count = 0
    schema = pa.schema([(column.name, _type(column)) for column in table.columns])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(_columns(schema, rows) for rows in batches):
            writer.write_table(group, row_group_size=_ROWS_IN_GROUP)
            count += group.num_rows
    return count


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting = list[pa.RecordBatch]()
    for batch in batches:
        waiting.append(batch)
        if sum(len(b) for b in waiting) >= _ROWS_IN_GROUP:
            yield pa.Table.from_batches(waiting)
            waiting.clear()
    if waiting:
        yield pa.Table.from_batches(waiting)


def _columns(schema: pa.Schema, rows: Rows) -> pa.RecordBatch:
    values = zip(*rows, strict=True)
    arrays = [
        pa.array(map(_reading(field), column), field.type)
        for field, column in zip(schema, values, strict=True)
    ]
    return pa.record_batch(arrays, schema=schema)


def _type(column: Any) -> pa.DataType:
    if column.name in _TIMES:
        return _TIME
    if column.name in _NESTED:
        return _NESTED[column.name]
    kinds = {Double: pa.float64(), Integer: pa.int32(), Boolean: pa.bool_()}
    return next((t for kind, t in kinds.items() if isinstance(column.type, kind)), pa.string())


def _reading(field: pa.Field) -> Callable[[Any], Any]:
    """How a value of the database becomes one of Arrow's."""
    if field.type == _TIME:
        return lambda seconds: round(seconds * 1e6)
    if pa.types.is_map(field.type):
        return lambda mapping: list(mapping.items())
    return json.dumps if field.name == "content" else lambda value: value
