"""What the journal knows of users, day by day; the same SQL on either database."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, and_, case, cast, distinct, func, select

from blended.journal.lineage import ANSWERED
from blended.journal.tables import feedback, responses

_DAY_MS = 86_400_000


def user_days(since: float, until: float, gap_s: float) -> Select[Any]:
    """What each user did on each day in UTC, from `since` until before `until`.

    A row is a user's day in one arm of one experiment, or in none; `day` counts from 1970-01-01.
    `turns` are responses that were answered and not retried. `active_s` is the time in sessions:
    a response lasts until the user's next, if that starts within `gap_s`, or else to its own end.
    Responses of nobody in particular are left out.
    """
    column = _asked(since, until, gap_s).subquery().c
    unit = (column.user, column.day, column.experiment, column.arm)
    lasts_s = case((column.pause_s <= gap_s, column.pause_s), else_=column.e2e_s)
    return (
        select(
            *unit,
            func.count().label("responses"),
            _number(and_(column.is_answered, ~column.is_retried)).label("turns"),
            func.count(distinct(column.conversation)).label("conversations"),
            func.min(column.started_at).label("first_at"),
            func.max(column.started_at).label("last_at"),
            func.sum(lasts_s).label("active_s"),
            _total(column.prompt_tokens).label("prompt_tokens"),
            _total(column.completion_tokens).label("completion_tokens"),
            _number(column.is_retried).label("retries"),
            _number(~column.is_answered).label("failures"),
        )
        .where(column.started_at < until)
        .group_by(*unit)
    )


def _asked(since: float, until: float, gap_s: float) -> Select[Any]:
    """The responses, and how long after each the user's next one started."""
    column = responses.c
    next_at = func.lead(column.started_at).over(
        partition_by=column.user, order_by=column.started_at
    )
    # All that is joined is joined here: what follows needs no order but that of the window.
    return (
        select(
            column.user,
            column.started_at,
            column.experiment,
            column.arm,
            column.conversation,
            column.e2e_s,
            column.prompt_tokens,
            column.completion_tokens,
            column.state.in_(ANSWERED).label("is_answered"),
            feedback.c.kind.is_not(None).label("is_retried"),
            (cast(column.started_at * 1000, BigInteger) // _DAY_MS).label("day"),
            (next_at - column.started_at).label("pause_s"),
        )
        .select_from(responses.outerjoin(feedback, _is_retry()))
        # What starts a little later may still be the next of one that is asked for.
        .where(column.user.is_not(None), column.started_at >= since)
        .where(column.started_at < until + gap_s)
    )


def _is_retry() -> ColumnElement[bool]:
    return and_(
        feedback.c.started_at == responses.c.started_at,
        feedback.c.response_id == responses.c.response_id,
        feedback.c.kind == "retry",
    )


def _number(condition: ColumnElement[bool]) -> Any:
    return func.sum(case((condition, 1), else_=0))


def _total(column: ColumnElement[Any]) -> Any:
    return func.coalesce(func.sum(column), 0)
