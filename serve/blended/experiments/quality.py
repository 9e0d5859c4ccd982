"""Whether an experiment's records can be trusted: looked at before any comparison of arms.

Arms that lose or gain users or records for reasons of their own differ without any effect. Each
check compares what randomisation guarantees, so that a true effect never fails it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from blended.experiments.definition import Definition
from blended.experiments.moments import Array, Moments
from blended.experiments.panel import ExperimentPanel
from blended.experiments.shares import FEWEST_USERS, difference_of_shares
from blended.experiments.statistics import sample_ratio_p

# A p value below this means a defect, not chance (as in GrowthBook).
MISMATCH_P = 0.001
# The part of users met in two arms, of records that are doubled, and of second turns without the
# record of the first.
TOLERATED = 0.01
_SHOWN_DAYS, _LONG_DAY_S = 5, 86_400
_TOO_MANY = (
    f"more than {TOLERATED:.0%} are too many to leave out. Records have the wrong arm, or the arms "
    "were changed"
)


@dataclass(frozen=True)
class Quality:
    """What the checks found; shares are parts of 1, by arm where they have arms.

    `faults` are sentences, each with a cause; one of them withholds every comparison. `gaps` are
    days (since 1970) without any record: they count for nobody.
    """

    mismatch_p: float
    mismatch_by_day_p: float
    crossed: float
    orphans: Mapping[str, float]
    doubled: Mapping[str, float]
    gaps: tuple[int, ...]
    faults: tuple[str, ...]


def check(panel: ExperimentPanel) -> Quality:
    """All checks of a panel."""
    names = [arm.id for arm in panel.definition.arms]
    counts, shares = panel.counts(), [arm.share for arm in panel.definition.arms]
    met = sum(counts) + panel.left_out.crossed
    crossed = panel.left_out.crossed / met if met else 0.0
    by_day = _mismatch_by_day(panel.calendar.joiners, shares)
    traces = dict(zip(names, _traces(panel), strict=True))
    mismatch_p = sample_ratio_p(counts, shares)
    faults = (
        *_mismatch(panel, mismatch_p, by_day),
        *_crossed(panel, crossed),
        *_lost_days(panel),
        *_orphans(panel, traces),
        *_doubled(traces),
    )
    return Quality(
        mismatch_p=mismatch_p,
        mismatch_by_day_p=min(1.0, min(by_day.values(), default=1.0) * len(by_day)),
        crossed=crossed,
        orphans={arm: _part(of, "is_orphan", "has_parent") for arm, of in traces.items()},
        doubled={arm: _part(of, "is_doubled", "records") for arm, of in traces.items()},
        gaps=tuple(int(day) for day in panel.gaps),
        faults=faults,
    )


def _mismatch(panel: ExperimentPanel, p: float, by_day: Mapping[int, float]) -> Iterator[str]:
    names = [arm.id for arm in panel.definition.arms]
    if p < MISMATCH_P:
        listed = ", ".join(f"{n} {c:,}" for n, c in zip(names, panel.counts(), strict=True))
        yield (
            f"the users do not lie in the arms as the shares say ({listed}; p = {p:.1g}). "
            "Something loses or moves users, so that the arms are not alike"
        )
    days = [day for day, of_day in by_day.items() if of_day * len(by_day) < MISMATCH_P]
    if days:
        first = panel.calendar.first
        yield (
            f"the users who joined {_days(panel, [first + day for day in days])} do not lie in the "
            f"arms as the shares say (p = {min(by_day.values()) * len(by_day):.1g}). Something "
            "lost or moved users then"
        )


def _mismatch_by_day(joiners: Array, shares: Sequence[float]) -> dict[int, float]:
    """The p value of each day on which enough users joined."""
    return {
        day: sample_ratio_p(counts, shares)
        for day, counts in enumerate(joiners)
        if counts.sum() * min(shares) / sum(shares) >= FEWEST_USERS
    }


def _crossed(panel: ExperimentPanel, crossed: float) -> Iterator[str]:
    if crossed > TOLERATED:
        yield (
            f"{panel.left_out.crossed:,} users ({crossed:.1%}) were met in more than one arm, or "
            f"in one that the experiment does not have; {_TOO_MANY}"
        )
        return
    # A few of all users may be many of those of a small arm, and its busiest ones.
    for arm, kept in zip(panel.definition.arms, panel.counts(), strict=True):
        also = panel.left_out.crossed_by.get(arm.id, 0)
        if also and also / (kept + also) > TOLERATED:
            yield (
                f"{also:,} of the {kept + also:,} users of '{arm.id}' ({also / (kept + also):.1%}) "
                f"were met in another arm, too; {_TOO_MANY}"
            )


def _lost_days(panel: ExperimentPanel) -> Iterator[str]:
    for arm, days in panel.calendar.lost().items():
        name = panel.definition.arms[arm].id
        yield (
            f"'{name}' has less than half of the visitors that are to be expected "
            f"{_days(panel, list(days))}. Its records of then are lost, or it was out"
        )


def _traces(panel: ExperimentPanel) -> list[Moments]:
    """Each arm's users with records looked at: their records, and the traces of lost ones."""
    found, users = panel.checked, len(panel.arm)
    columns = ("records", "has_parent", "is_orphan", "is_doubled")
    weights = (None, found.has_parent, found.is_orphan, found.is_doubled)
    sums = np.column_stack([np.bincount(found.user, w, minlength=users) for w in weights])
    seen = sums[:, 0] > 0
    return [
        Moments.of(columns, sums[seen & (panel.arm == arm)])
        for arm in range(len(panel.definition.arms))
    ]


def _orphans(panel: ExperimentPanel, traces: Mapping[str, Moments]) -> Iterator[str]:
    control = traces[panel.definition.control]
    for arm, of in traces.items():
        if arm == panel.definition.control or not _comparable(of, control):
            continue
        found = difference_of_shares(of, control, "is_orphan", "has_parent")
        if abs(found.value) > TOLERATED and found.p_value() < MISMATCH_P:
            yield (
                f"of the second turns of conversations, {found.test.value:.1%} in '{arm}' and "
                f"{found.control.value:.1%} in control lack the record of the first. Records of "
                "one arm are lost"
            )


def _comparable(test: Moments, control: Moments) -> bool:
    return (
        min(arm.n and arm.effective_users("has_parent") for arm in (test, control)) >= FEWEST_USERS
    )


def _doubled(traces: Mapping[str, Moments]) -> Iterator[str]:
    for arm, of in traces.items():
        part = _part(of, "is_doubled", "records")
        if part > TOLERATED:
            yield (
                f"{part:.1%} of the records of '{arm}' are of a request that has one already, with "
                "the same id, conversation and history. Records are doubled, or a client sends one "
                "request id again and again"
            )


def _part(of: Moments, part: str, whole: str) -> float:
    return of.total(part) / of.total(whole) if of.n and of.total(whole) else 0.0


def _days(panel: ExperimentPanel, days: Sequence[int]) -> str:
    return f"on {listed_days(panel.definition, days)}"


def listed_days(definition: Definition, days: Sequence[int]) -> str:
    """The first few of some days (since 1970): as dates, or since the start if days are short."""
    shown = [_day(definition, day) for day in days[:_SHOWN_DAYS]]
    others = len(days) - len(shown)
    return ", ".join(shown) + (f" and {others} more days" if others else "")


def _day(definition: Definition, day: int) -> str:
    if definition.day_s < _LONG_DAY_S:
        return f"day {day - definition.day_of(definition.start)} of the experiment"
    return f"{datetime.fromtimestamp(day * definition.day_s, UTC):%F}"
