"""The journal's data on users, day by day; the same SQL on either database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    cast,
    func,
    or_,
    select,
)

from blended.journal.implicit_feedback import ANSWERED, FAILED
from blended.journal.tables import feedback, responses


def user_days(
    since: float,
    until: float,
    gap_s: float,
    day_s: float = 86_400,
    engines: Mapping[str, float] | None = None,
    offset_s: float = 0.0,
) -> Select[Any]:
    """What each user did on each day, in the sessions that began from `since` until before `until`.

    A row is a user's day in one arm of one experiment, or in none; `day` counts days of `day_s`
    from 1970-01-01, which begin `offset_s` before midnight in UTC. A session ends when no response
    starts for `gap_s`. It belongs to the day on which it began, so that nobody comes back by
    staying up past midnight; what starts long after that day belongs to its own.

    `turns` are responses that were answered and not retried, `conversations` those of them that
    began one. `active_s` is the time in sessions without the waiting: from the end of a response
    until the user's next one, if that starts in the same session. `waited_s` is the rest: until the
    end of a response, or until the next one where that starts earlier. `engine_s` is the time that
    components worked on responses, each times its number in `engines` (1 without one). `ttft_s`
    counts a response that failed or was cancelled before its first byte with the time that its
    client waited. A value that some responses lack has, beside its sum, the number of responses
    that have it.

    Responses without a user are left out.
    """
    asked = _asked(since, until, gap_s, day_s).subquery()
    column = _in_sessions(asked, gap_s, day_s, offset_s).subquery().c
    unit = (column.user, column.day, column.experiment, column.arm)
    is_turn = and_(column.is_answered, ~column.is_retried)
    return (
        select(
            *unit,
            func.count().label("responses"),
            _number(is_turn).label("turns"),
            _number(and_(is_turn, column.turn <= 1)).label("conversations"),
            func.min(column.started_at).label("first_at"),
            func.max(column.started_at).label("last_at"),
            func.sum(column.lasts_s - column.waits_s).label("active_s"),
            func.sum(column.waits_s).label("waited_s"),
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
        .where(column.home_at >= since, column.home_at < until)
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


def checked_responses(experiment: str, since: float, until: float) -> Select[Any]:
    """An experiment's responses that started from `since` until before `until`, to check records.

    `first_byte_s` is how long the client waited. `has_parent` says that it is the second turn of a
    conversation, which continues the first, `is_orphan` that no record of that is there. Later
    turns tell less: clients that send only the last messages change what a history begins with.
    `is_doubled` says that another record of the same answered request comes before.
    """
    column, other = responses.c, responses.alias().c
    has_parent = and_(column.turn == 2, column.parent.is_not(None))
    is_orphan = and_(has_parent, ~select(1).where(other.lineage == column.parent).exists())
    request = (column.user, column.request_id, column.conversation, column.turn, column.lineage)
    nth = func.row_number().over(
        partition_by=(*request, column.state.in_(ANSWERED)),
        order_by=(column.started_at, column.response_id),
    )
    return select(
        column.user,
        first_byte_s().label("first_byte_s"),
        case((has_parent, 1), else_=0).label("has_parent"),
        case((is_orphan, 1), else_=0).label("is_orphan"),
        case((and_(nth > 1, column.state.in_(ANSWERED)), 1), else_=0).label("is_doubled"),
    ).where(
        column.experiment == experiment,
        column.user.is_not(None),
        column.started_at >= since,
        column.started_at < until,
    )


def first_byte_s() -> ColumnElement[Any]:
    """How long a client waited for the first byte, or in vain; NULL for a refused request."""
    column = responses.c
    in_vain = column.state.in_((*FAILED, "cancelled"))
    return case((in_vain, func.coalesce(column.ttft_s, column.e2e_s)), else_=column.ttft_s)


def _asked(since: float, until: float, gap_s: float, day_s: float) -> Select[Any]:
    """The responses, and when the same user's ones before and after each started."""
    column, carried_s = responses.c, _carried_s(day_s)
    order: Any = {"partition_by": column.user, "order_by": column.started_at}
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
            first_byte_s().label("ttft_s"),
            column.repetition,
            column.prompt_tokens,
            (column.completion_tokens - _rejected_tokens()).label("completion_tokens"),
            column.state.in_(ANSWERED).label("is_answered"),
            column.state.in_(FAILED).label("is_failed"),
            feedback.c.kind.is_not(None).label("is_retried"),
            func.lag(column.started_at).over(**order).label("before_at"),
            func.lead(column.started_at).over(**order).label("next_at"),
        )
        .select_from(responses.outerjoin(feedback, _is_retry()))
        # Sessions that began before may go on, and the last ones go on afterwards.
        .where(column.user.is_not(None), column.started_at >= since - carried_s)
        .where(column.started_at < until + carried_s + gap_s)
    )


def _rejected_tokens() -> ColumnElement[int]:
    """Tokens of candidates that no user has seen."""
    rejected = responses.c.candidates["rejected_tokens"].as_integer()
    return func.coalesce(rejected, 0)


def _in_sessions(asked: Subquery, gap_s: float, day_s: float, offset_s: float) -> Select[Any]:
    """The responses with the day that each belongs to, `home_at` on it, and how long each lasts."""
    column = asked.c
    is_first = or_(column.before_at.is_(None), column.started_at - column.before_at > gap_s)
    began_at = func.max(case((is_first, column.started_at))).over(
        partition_by=column.user, order_by=column.started_at
    )
    in_session = select(*column, began_at.label("began_at")).subquery().c
    day_after_s = (_day(in_session.began_at, day_s, offset_s) + 1) * day_s - offset_s
    is_carried = in_session.started_at < day_after_s + _carried_s(day_s)
    home_at = case((is_carried, in_session.began_at), else_=in_session.started_at)
    pause_s = in_session.next_at - in_session.started_at
    lasts_s = case((pause_s <= gap_s, pause_s), else_=in_session.e2e_s)
    waits_s = case((in_session.e2e_s < lasts_s, in_session.e2e_s), else_=lasts_s)
    return select(
        *in_session,
        home_at.label("home_at"),
        _day(home_at, day_s, offset_s).label("day"),
        lasts_s.label("lasts_s"),
        waits_s.label("waits_s"),
    )


def _day(at: ColumnElement[Any], day_s: float, offset_s: float) -> ColumnElement[Any]:
    return cast((at + offset_s) * 1000, BigInteger) // round(day_s * 1000)


def _carried_s(day_s: float) -> float:
    """How long after its day a session still belongs to it: a quarter of a day."""
    return day_s / 4


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
