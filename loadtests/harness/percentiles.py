"""Percentiles of a sample, medians of passes, and differences of two targets: pure functions."""

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import TypedDict


class Quantiles(TypedDict):
    """The median and the 99th percentile of some times."""

    p50: float
    p99: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def quantiles(values: Iterable[float]) -> Quantiles | None:
    """Both quantiles; None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return {"p50": percentile(ordered, 0.5), "p99": percentile(ordered, 0.99)}


def middle(values: Iterable[float | None]) -> float | None:
    """The median of the known values; None without any."""
    present = [value for value in values if value is not None]
    return median(present) if present else None


def minus(value: float | None, other: float | None) -> float | None:
    """The difference; None when a side is missing."""
    return None if value is None or other is None else value - other


def over(value: float | None, other: float | None) -> float | None:
    """The ratio; None when a side is missing or 0."""
    return None if value is None or not other else value / other
