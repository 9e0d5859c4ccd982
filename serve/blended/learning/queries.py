"""The journal's data on draws and on what users did next; the same SQL on either database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    FrameClause,
    FrameClauseType,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)

from blended.journal.store import Store
from blended.journal.tables import contents, feedback, responses
from blended.learning.rewards import EDITED, QUICK_S, SUMS

# What tells one kind of draw from another; `before` is the component that gave the response before,
# `given` are the probabilities where a policy gave them: others are looked up by their version.
UNIT = (
    "user",
    "model",
    "experiment",
    "arm",
    "distribution",
    "drawn",
    "component",
    "left",
    "failures",
    "propensity",
    "is_repeated",
    "before",
    "given",
)
_DERIVED = ("is_repeated", "before", "given")
# Those of them that are JSON.
DOCUMENTS = ("left", "failures", "given")
# The days after the first that the gradients look at.
OFFSETS = (0, 1, 7)
DAY_S = 86_400.0


def decisions(since: float, until: float, day_s: float) -> Select[Any]:
    """The sums of rewards over responses that started from `since` until before `until`.

    A row is a user's responses of one kind of draw. What happens within `day_s` after a response
    counts. Responses without a user are left out.
    """
    responded = _asked(since, until, day_s).subquery()
    spoken = _said(since, until, day_s).subquery()
    asked, said = responded.c, spoken.c
    is_same = and_(said.started_at == asked.started_at, said.response_id == asked.response_id)
    unit = [asked[name] for name in UNIT]
    sums = {
        "responses": func.count(),
        "regenerated": _total(said.is_retried),
        "kept": func.sum(1 - func.coalesce(said.is_changed, 0)),
        "continued": _total(said.is_continued),
        "two_more": func.sum(case((asked.turns_ahead >= 2, 1), else_=0)),
        "turns_ahead": func.sum(asked.turns_ahead),
        "thumbs": _total(said.thumb),
        "waited_s": func.sum(asked.waited_s),
        "engine_s": func.sum(asked.engine_s),
    }
    return (
        select(*unit, *(sums[name].label(name) for name in SUMS))
        .select_from(responded.outerjoin(spoken, is_same))
        .where(asked.started_at < until)
        .group_by(*unit)
    )


def each(since: float, until: float, day_s: float) -> Select[Any]:
    """The responses that started from `since` until before `until`, one by one, in no order.

    With the rewards of rewards.YES_OR_NO as 0 or 1, and what is kept of the texts.
    """
    responded = _asked(since, until, day_s).subquery()
    spoken = _said(since, until, day_s).subquery()
    asked, said, own, texts = responded.c, spoken.c, responses.c, contents.c

    def same(other: Any) -> ColumnElement[bool]:
        is_same_time = other.started_at == asked.started_at
        return and_(is_same_time, other.response_id == asked.response_id)

    return (
        select(
            asked.user,
            asked.drawn,
            asked.is_repeated,
            cast(own.probabilities, Text).label("probabilities"),
            cast(own.facts, Text).label("facts"),
            (1 - func.coalesce(said.is_changed, 0)).label("kept"),
            func.coalesce(said.is_continued, 0).label("continued"),
            case((asked.turns_ahead >= 2, 1), else_=0).label("two_more"),
            texts.content,
        )
        .select_from(
            responded.join(responses, same(own))
            .outerjoin(spoken, same(said))
            .outerjoin(contents, same(texts))
        )
        .where(asked.started_at < until)
    )


def _asked(since: float, until: float, day_s: float) -> Select[Any]:
    """The responses, with the number of turns after each in its conversation."""
    column = responses.c
    window: Any = {"partition_by": (column.user, column.conversation)}
    ahead = FrameClause(
        None, literal(day_s, Double), FrameClauseType.CURRENT, FrameClauseType.FOLLOWING
    )
    last = func.max(column.turn).over(**window, order_by=column.started_at, range_=ahead)
    before = {
        name: func.lag(column[name]).over(**window, order_by=column.started_at)
        for name in ("turn", "uniform", "component")
    }
    # A client that repeats its Idempotency-Key repeats the draw.
    is_repeated = and_(before["turn"] == column.turn, before["uniform"] == column.uniform)
    return (
        select(
            *(column[name] for name in UNIT if name not in DOCUMENTS + _DERIVED),
            # Texts are compared faster, and read once for each kind.
            *(cast(column[name], Text).label(name) for name in DOCUMENTS if name not in _DERIVED),
            _given().label("given"),
            column.started_at,
            column.response_id,
            func.coalesce(is_repeated, False).label("is_repeated"),
            # Only the first answer to a message follows on the response before it.
            case((before["turn"] == column.turn - 1, before["component"])).label("before"),
            (last - column.turn).label("turns_ahead"),
            func.coalesce(column.ttft_s, column.e2e_s).label("waited_s"),
            (column.e2e_s - column.router_s).label("engine_s"),
        )
        .where(column.user.is_not(None), column.started_at >= since)
        .where(column.started_at < until + day_s)
    )


def _said(since: float, until: float, day_s: float) -> Select[Any]:
    """What users said of responses within a day, by word or deed; a row is a response."""
    column = feedback.c
    is_retry = column.kind == "retry"
    is_edit = and_(column.kind == "edit", column.value > EDITED)
    is_quick = and_(column.kind == "continued", column.value <= QUICK_S * day_s / DAY_S)
    return (
        select(
            column.started_at,
            column.response_id,
            func.max(_flag(is_retry)).label("is_retried"),
            func.max(_flag(or_(is_retry, is_edit))).label("is_changed"),
            func.max(_flag(is_quick)).label("is_continued"),
            func.sum(case((column.kind == "thumb", column.value), else_=0.0)).label("thumb"),
        )
        .where(column.started_at >= since, column.started_at < until)
        .where(column["at"] <= column.started_at + day_s)
        .where(column.kind.in_(("retry", "edit", "continued", "thumb")))
        .group_by(column.started_at, column.response_id)
    )


def first_days(since: float, until: float, gap_s: float, day_s: float) -> Select[Any]:
    """What users did on the day on which they came first, and one and seven days later.

    A row is a user's responses on one of these days, by the draw: `offset` counts days since the
    first, `joined` is the first, since 1970, and `active_s` is the time in sessions, as in
    journal/queries.py. Only users whose first response of all is from `since` on, until before
    `until`.
    """
    column = responses.c
    came = (
        select(column.user, func.min(column.started_at).label("at"))
        .where(column.user.is_not(None))
        .group_by(column.user)
        .having(func.min(column.started_at) >= since)
        .subquery()
    )
    joined = _day(came.c["at"], day_s)
    offset = _day(column.started_at, day_s) - joined
    pause_s = (
        func.lead(column.started_at).over(partition_by=column.user, order_by=column.started_at)
        - column.started_at
    )
    rows = (
        select(
            column.user,
            column.distribution,
            _given().label("given"),
            column.drawn,
            joined.label("joined"),
            offset.label("offset"),
            case((pause_s <= gap_s, pause_s), else_=column.e2e_s).label("active_s"),
        )
        .select_from(responses.join(came, column.user == came.c.user))
        .where(offset.in_(OFFSETS), column.started_at < until)
        .subquery()
        .c
    )
    unit = (rows.user, rows.joined, rows.offset, rows.distribution, rows.given, rows.drawn)
    sums = func.count().label("responses"), func.sum(rows.active_s).label("active_s")
    return select(*unit, *sums).group_by(*unit)


def distribution(store: Store, version: str, given: Mapping[str, float] | None) -> dict[str, float]:
    """The probabilities above 0 of a version of the selection distribution, unless `given`."""
    column = responses.c
    found = given
    if found is None:
        chosen = select(column.probabilities).where(column.distribution == version).limit(1)
        [found] = [row[0] for rows in store.stream(chosen, 1) for row in rows]
    return {name: p for name, p in found.items() if p}


def _given() -> ColumnElement[Any]:
    """The probabilities as a text if a policy gave them."""
    column = responses.c
    return case((column.policy.is_not(None), cast(column.probabilities, Text)))


def _day(time: ColumnElement[Any], day_s: float) -> ColumnElement[Any]:
    return cast(time * 1000, BigInteger) // round(day_s * 1000)


def _flag(condition: ColumnElement[bool]) -> Any:
    return case((condition, 1), else_=0)


def _total(column: ColumnElement[Any]) -> Any:
    return func.sum(func.coalesce(column, 0))
