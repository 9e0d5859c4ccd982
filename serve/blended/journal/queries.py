"""The journal's data on users, day by day; the same SQL on either database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, and_, case, cast, func, select

from blended.journal.implicit_feedback import ANSWERED, FAILED
from blended.journal.tables import feedback, responses


def user_days(
    since: float,
    until: float,
    gap_s: float,
    day_s: float = 86_400,
    engines: Mapping[str, float] | None = None,
) -> Select[Any]:
    """What each user did on each day in UTC, from `since` until before `until`.

    A row is a user's day in one arm of one experiment, or in none; `day` counts days of `day_s`
    from 1970-01-01. `turns` are responses that were answered and not retried, `conversations` those
    of them that began one. `active_s` is the time in sessions: a response lasts until the user's
    next, if that starts within `gap_s`, or else to its own end. `engine_s` is the time that
    components worked on responses, each times its number in `engines` (1 without one). A value that
    some responses lack has, beside its sum, the number of responses that have it.

    Responses without a user are left out.
    """
    column = _asked(since, until, gap_s, day_s).subquery().c
    unit = (column.user, column.day, column.experiment, column.arm)
    lasts_s = case((column.pause_s <= gap_s, column.pause_s), else_=column.e2e_s)
    is_turn = and_(column.is_answered, ~column.is_retried)
    return (
        select(
            *unit,
            func.count().label("responses"),
            _number(is_turn).label("turns"),
            _number(and_(is_turn, column.turn <= 1)).label("conversations"),
            func.min(column.started_at).label("first_at"),
            func.max(column.started_at).label("last_at"),
            func.sum(lasts_s).label("active_s"),
            _total(column.prompt_tokens).label("prompt_tokens"),
            _total(column.completion_tokens).label("completion_tokens"),
            _number(column.is_retried).label("retries"),
            _number(column.is_failed).label("failures"),
            _total(column.ttft_s).label("ttft_s"),
            func.count(column.ttft_s).label("ttft_responses"),
            _total(column.repetition).label("repetition"),
            func.count(column.repetition).label("repetition_responses"),
            func.sum(column.component_s * _engines(column.component, engines or {})).label(
                "engine_s"
            ),
        )
        .where(column.started_at < until)
        .group_by(*unit)
    )


def user_feedback(since: float, until: float) -> Select[Any]:
    """The users' feedback on responses that started from `since` until before `until`.

    A row is a user in one arm of one experiment, or in none: how many thumbs, how many of them up,
    and how many edits.
    """
    column, said = responses.c, feedback.c
    is_same = and_(said.started_at == column.started_at, said.response_id == column.response_id)
    is_thumb = said.kind == "thumb"
    unit = (column.user, column.experiment, column.arm)
    return (
        select(
            *unit,
            _number(is_thumb).label("thumbs"),
            _number(and_(is_thumb, said.value > 0)).label("thumbs_up"),
            _number(said.kind == "edit").label("edits"),
        )
        .select_from(feedback.join(responses, is_same))
        .where(said.kind.in_(("thumb", "edit")), column.user.is_not(None))
        .where(said.started_at >= since, said.started_at < until)
        .group_by(*unit)
    )


def _asked(since: float, until: float, gap_s: float, day_s: float) -> Select[Any]:
    """The responses, and how long after each the user's next one started."""
    column = responses.c
    next_at = func.lead(column.started_at).over(
        partition_by=column.user, order_by=column.started_at
    )
    # All joins are here: the rest needs no order but that of the window.
    return (
        select(
            column.user,
            column.started_at,
            column.experiment,
            column.arm,
            column.turn,
            column.component,
            column.e2e_s,
            (column.e2e_s - column.router_s).label("component_s"),
            column.ttft_s,
            column.repetition,
            column.prompt_tokens,
            column.completion_tokens,
            column.state.in_(ANSWERED).label("is_answered"),
            column.state.in_(FAILED).label("is_failed"),
            feedback.c.kind.is_not(None).label("is_retried"),
            (cast(column.started_at * 1000, BigInteger) // round(day_s * 1000)).label("day"),
            (next_at - column.started_at).label("pause_s"),
        )
        .select_from(responses.outerjoin(feedback, _is_retry()))
        # A response that starts a little later may still be the next one of a requested response.
        .where(column.user.is_not(None), column.started_at >= since)
        .where(column.started_at < until + gap_s)
    )


def _is_retry() -> ColumnElement[bool]:
    return and_(
        feedback.c.started_at == responses.c.started_at,
        feedback.c.response_id == responses.c.response_id,
        feedback.c.kind == "retry",
    )


def _engines(component: ColumnElement[Any], engines: Mapping[str, float]) -> Any:
    if not engines:
        return 1.0
    return case(*((component == name, number) for name, number in engines.items()), else_=1.0)


def _number(condition: ColumnElement[bool]) -> Any:
    return func.sum(case((condition, 1), else_=0))


def _total(column: ColumnElement[Any]) -> Any:
    return func.coalesce(func.sum(column), 0)
