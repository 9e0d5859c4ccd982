"""The time to the first token by the number of candidates, and what order statistics expect.

Nothing is shown before the longest of K candidates has ended. Lengths are geometric with the mean
R: the longest has sum over t >= 0 of 1 - (1 - (1 - 1/R)^t)^K tokens on average. With `early` it is
cut there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from blended.config import BestOf
from cluster.capacity.best_of import steps
from loadtests.harness.percentiles import percentile
from loadtests.harness.timed_client import TimedResponse
from loadtests.studies.best_of.planted import LONGEST


@dataclass(frozen=True)
class Timing:
    """The means of a simulated component: milliseconds and tokens; `reward_ms` are the model's."""

    ttft_ms: float
    itl_ms: float
    tokens: int
    reward_ms: float


def expected_ms(timing: Timing, best_of: BestOf | None) -> float:
    """Mean milliseconds to the first token, without those of the router and of connections."""
    if best_of is None:
        return timing.ttft_ms
    found = steps(timing.tokens, best_of, LONGEST, 0.99)
    again = found.goes_on * timing.ttft_ms
    return timing.ttft_ms + (found.before - 1) * timing.itl_ms + timing.reward_ms + again


def row(
    found: Sequence[TimedResponse], timing: Timing, best_of: BestOf | None, floor_ms: float
) -> dict[str, Any]:
    """A line of the table; `floor_ms` is what a response without candidates took beyond theory."""
    first = sorted(1e3 * r.first_s for r in found)
    expected = expected_ms(timing, best_of)
    measured = fmean(first)
    return {
        "responses": len(found),
        "ttft_ms": round(measured, 1),
        "ttft_p50_ms": round(percentile(first, 0.5), 1),
        "ttft_p99_ms": round(percentile(first, 0.99), 1),
        "expected_ms": round(expected + floor_ms, 1),
        "ratio": round(measured / (expected + floor_ms), 3),
        "last_ms": round(1e3 * fmean(r.last_s for r in found), 1),
        "tokens": round(fmean(r.tokens for r in found), 1),
    }
