"""Keeps the derived feedback in the database right for any order in which records arrive.

A record changes the feedback on itself and on the responses just before it, which in turn depends
on the responses just after them. Only these few are looked up, however long a history is, by their
times: a time is in the key and in every index, and few responses share one.
"""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Double,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    func,
    select,
)

from blended.journal.implicit_feedback import ANSWERED, HORIZON_S, AskedResponse, derive
from blended.journal.records import FeedbackRecord
from blended.journal.tables import feedback, responses

# A second more than `derive` looks back, so that rounding decides nothing here.
_REACH_S = HORIZON_S + 1
_one, _other = responses.alias("one"), responses.alias("other")
_COLUMNS = tuple(_one.c[name] for name in AskedResponse._fields)


class Neighbours:
    """The statements that look up these responses, which differ between the two databases."""

    def __init__(self, is_postgresql: bool) -> None:
        among = _in_array if is_postgresql else _in_list
        self._as_parameter = _array if is_postgresql else list
        before = select(_latest(_one.c.lineage), _latest(_one.c.parent))
        after = select(
            *_COLUMNS, _first(_other.c.lineage, is_answered=True), _first(_other.c.parent)
        )
        self._before, self._after, self._asked = (
            statement.where(among(_one.c.started_at))
            for statement in (before, after, select(*_COLUMNS))
        )
        self._forget = delete(feedback).where(among(feedback.c.started_at), feedback.c.derived)

    def rederive(self, connection: Connection, times: Collection[float]) -> list[FeedbackRecord]:
        """Remove the derived feedback that may change through responses which started at these
        times.

        The responses must be in the database already. Returns the feedback to insert instead.
        """
        changed = {*times, *_times(self._rows(connection, self._before, times))}
        rows = self._rows(connection, self._after, changed)
        width = len(_COLUMNS)
        known = [AskedResponse._make(row[:width]) for row in rows]
        # All responses that started at these times are known already.
        unknown = _times(row[width:] for row in rows) - changed
        after = map(AskedResponse._make, self._rows(connection, self._asked, unknown))
        self._execute(connection, self._forget, changed)
        derived = derive([*known, *after])
        return [record for record in derived if record.started_at in changed]

    def _rows(self, connection: Connection, statement: Any, times: Collection[float]) -> list[Any]:
        return list(self._execute(connection, statement, times)) if times else []

    def _execute(self, connection: Connection, statement: Any, times: Iterable[float]) -> Any:
        return connection.execute(statement, {"times": self._as_parameter(times)})


def _times(rows: Iterable[Iterable[float | None]]) -> set[float]:
    return {time for row in rows for time in row if time is not None}


def _in_array(time: ColumnElement[Any]) -> ColumnElement[bool]:
    return time == any_(cast(bindparam("times", type_=Text), ARRAY(Double)))


def _array(times: Iterable[float]) -> str:
    """One parameter for all times, as text: psycopg is slow with many parameters or lists."""
    return f"{{{','.join(map(repr, times))}}}"


def _in_list(time: ColumnElement[Any]) -> ColumnElement[bool]:
    return time.in_(bindparam("times", expanding=True))


def _latest(history: ColumnElement[Any]) -> Any:
    """When the latest answer to a history began before a response did."""
    latest = select(func.max(_other.c.started_at)).where(
        _other.c.lineage == history,
        _other.c.started_at < _one.c.started_at,
        _other.c.started_at >= _one.c.started_at - _REACH_S,
        _other.c.state.in_(ANSWERED),
    )
    return latest.scalar_subquery()


def _first(column: ColumnElement[Any], is_answered: bool = False) -> Any:
    """When the first response began after one whose answered history `column` names."""
    first: Select[Any] = select(func.min(_other.c.started_at)).where(
        column == _one.c.lineage,
        _other.c.started_at > _one.c.started_at,
        _other.c.started_at <= _one.c.started_at + _REACH_S,
    )
    return (first.where(_other.c.state.in_(ANSWERED)) if is_answered else first).scalar_subquery()
