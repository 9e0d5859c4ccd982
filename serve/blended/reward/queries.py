"""The journal's data on what users had drawn again, and what they went on from; in SQL."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    and_,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from blended.journal.tables import contents, feedback, responses
from blended.learning.queries import DAY_S
from blended.learning.rewards import EDITED

_DIGITS = 4
_RETRY = feedback.c.kind == literal_column("'retry'")


def texts(since: float, until: float) -> Select[Any]:
    """How many responses have their texts."""
    return _counted(contents, since, until)


def retries(since: float, until: float) -> Select[Any]:
    """How many responses were drawn again, with texts or without."""
    return _counted(feedback, since, until).where(_RETRY)


def pairs(since: float, until: float, share: float) -> Select[Any]:
    """A row is a retry of one finished response by another one that the user did not spurn.

    It has who, when, and the component and the content of both; of a conversation without a user
    the conversation is who. Only a share of them is chosen.
    """
    first, second = responses.alias("first"), responses.alias("second")
    before, after = contents.alias("before"), contents.alias("after")
    said = feedback.alias("said")
    replaced_by = and_(
        second.c.response_id == feedback.c.other_id,
        second.c.started_at >= feedback.c.started_at,
        second.c.started_at < until + DAY_S,
    )
    return (
        select(
            func.coalesce(first.c.user, first.c.conversation).label("user"),
            first.c.started_at,
            first.c.component.label("first"),
            second.c.component.label("second"),
            before.c.content.label("before"),
            after.c.content.label("after"),
        )
        .select_from(feedback)
        .join(first, _same(first, feedback))
        .join(before, _same(before, feedback))
        .join(second, replaced_by)
        .join(after, _same(after, second))
        .where(_RETRY, feedback.c.started_at >= since, feedback.c.started_at < until)
        .where(first.c.state == "finished", second.c.state == "finished")
        .where(_sampled(feedback.c.response_id, share))
        .where(~exists().where(_same(said, second), _spurns(said)))
        .order_by(feedback.c.started_at, feedback.c.response_id)
    )


def points(since: float, until: float, share: float) -> Select[Any]:
    """A row is a finished response that was not drawn again.

    It has who, when, its component and content, the thumb (NULL without one), and whether the user
    wrote at least two more messages within a day and edited no more than a fifth of it. Only a
    share of them is chosen; without a user nobody knows what came next.
    """
    column, later, said = responses.c, responses.alias("later"), feedback.alias("said")
    goes_on = exists().where(
        later.c.user == column.user,
        later.c.conversation == column.conversation,
        later.c.started_at > column.started_at,
        later.c.started_at <= column.started_at + DAY_S,
        later.c.turn >= column.turn + 2,
    )
    is_said = exists().where(_same(said, responses))
    is_edited = is_said.where(said.c.kind == "edit", said.c.value > EDITED)
    thumb = select(said.c.value).where(_same(said, responses), said.c.kind == "thumb")
    return (
        select(
            column.user,
            column.started_at,
            column.component,
            contents.c.content,
            thumb.scalar_subquery().label("thumb"),
            case((and_(goes_on, ~is_edited), 1), else_=0).label("two_more"),
        )
        .select_from(responses.join(contents, _same(contents, responses)))
        .where(column.started_at >= since, column.started_at < until)
        .where(column.user.is_not(None), column.state == "finished")
        .where(~is_said.where(said.c.kind == "retry"), _sampled(column.response_id, share))
        .order_by(column.started_at, column.response_id)
    )


def _counted(table: Table, since: float, until: float) -> Select[Any]:
    began = table.c.started_at
    return select(func.count()).select_from(table).where(began >= since, began < until)


def _same(one: Any, other: Any) -> ColumnElement[bool]:
    return and_(one.c.started_at == other.c.started_at, one.c.response_id == other.c.response_id)


def _spurns(said: Any) -> ColumnElement[bool]:
    return or_(
        said.c.kind == "retry",
        and_(said.c.kind == "edit", said.c.value > EDITED),
        and_(said.c.kind == "thumb", said.c.value < 0),
    )


def _sampled(response_id: ColumnElement[str], share: float) -> ColumnElement[bool]:
    """A share of the responses, the same ones every time: an id ends with random digits."""
    digits = func.substr(response_id, func.length(response_id) - (_DIGITS - 1))
    highest = min(round(share * 16**_DIGITS), 16**_DIGITS) - 1
    return digits <= f"{max(0, highest):0{_DIGITS}x}"
