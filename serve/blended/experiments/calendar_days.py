"""An experiment by calendar day and arm: joiners, visitors, records, and days without any."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from blended.experiments.moments import Array
from blended.experiments.user_days import Flags, Ints

# A day is missing only where so many visitors, or a probability so small, cannot be chance.
_EXPECTED, _CHANCE = 20.0, 1e-6
_LOST = 0.5
# Users who stay away do so one by one; all of them within so many days are lost records.
_BEFORE_DAYS, _SUDDEN_DAYS = 7, 3


@dataclass(frozen=True)
class CalendarDays:
    """Counts of d days from `first` (since 1970) in a arms, each of shape (d, a)."""

    first: int
    joiners: Array
    visitors: Array
    records: Array

    def gaps(self) -> Ints:
        """The days on which nobody came in any arm, though many would have."""
        return self.first + np.flatnonzero(empty_days(self.visitors.sum(axis=1)))

    def lost(self) -> Mapping[int, Ints]:
        """By arm the days on which it has less than half of the visitors that the others make one
        expect, and other days before and after do not; and those at the end from which on, from
        one day to the next, nobody comes back to it."""
        everybody, returning = self.visitors.sum(axis=1), self.visitors - self.joiners
        back = returning.sum(axis=1)
        found = {
            arm: _lost(self.visitors[:, arm], everybody) | _stopped(returning[:, arm], back)
            for arm in range(self.visitors.shape[1])
        }
        return {arm: self.first + np.flatnonzero(lost) for arm, lost in found.items() if lost.any()}


def empty_days(visitors: Array) -> Flags:
    """Days without visitors between days with many, or after them."""
    empty: Flags = visitors == 0
    for day in np.flatnonzero(empty):
        before, after = visitors[:day], visitors[day + 1 :]
        around = [np.median(v[v > 0]) for v in (before, after) if (v > 0).any()]
        empty[day] = len(before) > 0 and bool(around) and min(around) >= _EXPECTED
    return empty


def _lost(visitors: Array, everybody: Array) -> Flags:
    others = everybody - visitors
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.where(others > 0, visitors / others, np.nan)
    lost = np.zeros(len(visitors), dtype=bool)
    for day in range(1, len(visitors) - 1):
        sides = [side[np.isfinite(side)] for side in (odds[:day], odds[day + 1 :])]
        if others[day] and all(map(len, sides)):
            expected = others[day] * min(float(np.median(side)) for side in sides)
            is_few = visitors[day] < _LOST * expected
            lost[day] = is_few and stats.poisson.cdf(visitors[day], expected) < _CHANCE
    return lost


def _stopped(returning: Array, everybody: Array) -> Flags:
    others = everybody - returning
    stopped = np.zeros(len(returning), dtype=bool)
    end = int(np.flatnonzero(returning).max(initial=-1)) + 1
    before, after = slice(max(0, end - _BEFORE_DAYS), end), slice(end, end + _SUDDEN_DAYS)
    if others[before].any():
        expected = others[after].sum() * returning[before].sum() / others[before].sum()
        stopped[end:] = stats.poisson.cdf(0, expected) < _CHANCE
    return stopped
