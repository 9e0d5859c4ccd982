"""Records into rows: each once, however often it arrives, with its derived feedback."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, case, func, or_, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from blended.journal import partitions
from blended.journal.records import ExperimentRecord, FeedbackRecord, Record, ResponseRecord
from blended.journal.rederivation import Neighbours
from blended.journal.tables import contents, experiments, feedback, responses

# The largest number of look-ups in one statement.
_TOGETHER = 500

Rows = list[dict[str, Any]]


class Writer:
    """The statements that insert, which differ between the two databases."""

    def __init__(self, is_postgresql: bool) -> None:
        self._partitioned = is_postgresql
        self._insert: Any = postgresql.insert if is_postgresql else sqlite.insert
        self._responses = self._once(responses)
        self._contents = self._once(contents)
        self._derived = self._once(feedback)
        self._given = self._latest()
        self._defined = self._first_and_last()
        self._neighbours = Neighbours(is_postgresql)

    def add(self, connection: Connection, records: Sequence[Record]) -> None:
        """Insert the new records, and derive feedback from them."""
        answers = [record for record in records if isinstance(record, ResponseRecord)]
        given = [record for record in records if isinstance(record, FeedbackRecord)]
        defined = [record for record in records if isinstance(record, ExperimentRecord)]
        if self._partitioned:
            times = [r.started_at for r in answers] + [r.started_at for r in given]
            partitions.create_missing(connection, times)
        _execute(connection, self._responses, [_response(record) for record in answers])
        _execute(
            connection, self._contents, [_content(r) for r in answers if r.content is not None]
        )
        for start in range(0, len(answers), _TOGETHER):
            self._derive(connection, answers[start : start + _TOGETHER])
        _execute(connection, self._given, [_feedback(record, False) for record in given])
        _execute(connection, self._defined, [_experiment(record) for record in defined])

    def _derive(self, connection: Connection, answers: Iterable[ResponseRecord]) -> None:
        times = {record.started_at for record in answers if record.lineage or record.parent}
        if times:
            derived = self._neighbours.rederive(connection, times)
            _execute(connection, self._derived, [_feedback(record, True) for record in derived])

    def _once(self, table: Table) -> Any:
        return self._insert(table).on_conflict_do_nothing()

    def _latest(self) -> Any:
        """Of two feedbacks of a kind the later one stays; a derived one is replaced."""
        insert = self._insert(feedback)
        key = [column.name for column in feedback.primary_key]
        others = {c.name: insert.excluded[c.name] for c in feedback.c if c.name not in key}
        is_later = or_(feedback.c.derived, _order(insert.excluded) > _order(feedback.c))
        return insert.on_conflict_do_update(index_elements=key, set_=others, where=is_later)

    def _first_and_last(self) -> Any:
        """When a version of an experiment was first seen, and when last."""
        insert, known = self._insert(experiments), experiments.c
        new = insert.excluded
        times = {
            "first_at": case((new.first_at < known.first_at, new.first_at), else_=known.first_at),
            "last_at": case((new.last_at > known.last_at, new.last_at), else_=known.last_at),
        }
        key = [column.name for column in experiments.primary_key]
        return insert.on_conflict_do_update(index_elements=key, set_=times)


def _order(columns: Any) -> Any:
    """By time; the other fields make the outcome independent of the order of equal times."""
    value, other, text = columns.value, columns.other_id, columns.text
    return tuple_(
        columns["at"], func.coalesce(value, 0), func.coalesce(other, ""), func.coalesce(text, "")
    )


def _execute(connection: Connection, statement: Any, rows: Rows) -> None:
    if rows:
        connection.execute(statement, rows)


def _response(record: ResponseRecord) -> dict[str, Any]:
    row = dict(vars(record))
    del row["content"]
    return row


def _content(record: ResponseRecord) -> dict[str, Any]:
    return {
        "started_at": record.started_at,
        "response_id": record.response_id,
        "content": record.content,
        "schema_version": record.schema_version,
    }


def _feedback(record: FeedbackRecord, derived: bool) -> dict[str, Any]:
    return {**vars(record), "derived": derived}


def _experiment(record: ExperimentRecord) -> dict[str, Any]:
    row = dict(vars(record))
    at = row.pop("at")
    return {**row, "first_at": at, "last_at": at}
