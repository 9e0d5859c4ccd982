"""What several candidates for a response cost a component, and how long they take: pure functions.

Lengths of responses are geometric with a mean of R tokens, so that one is longer than t with the
probability q^t, q = 1 - 1/R. The longest of K has the mean sum over t >= 0 of 1 - (1 - q^t)^K: for
R = 64 and K = 1, 2, 4, 8 that is 64, 96, 133 and 173 tokens. A request for K candidates lasts until
the longest has ended, and meanwhile has as many of them under way as their tokens over its steps.
Its prompt is computed once. Nothing is shown before the candidates are judged: what a client waits
for its first token is all of that.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blended.config import BestOf
from cluster.capacity.queueing import Curve, Lengths, LinearTime

_NOTHING = LinearTime(0.0, 0.0)
# Beyond so many mean lengths a response is longer with a probability of 10^-17.
_MEANS = 40


@dataclass(frozen=True)
class Steps:
    """Of a response: decoding steps before the choice and after it, and tokens of all candidates.

    `slowest` are the steps before the choice that a given share of responses does not exceed.
    `goes_on` is the share of responses that go on after the choice.
    """

    before: float
    after: float
    tokens: float
    slowest: float
    goes_on: float

    @property
    def under_way(self) -> float:
        """The candidates under way on average while a response is."""
        return self.tokens / (self.before + self.after)


def steps(mean: float, best_of: BestOf, limit: int | None, share: float) -> Steps:
    """The steps of responses of so many tokens on average, with at most `limit` tokens.

    `share` is that of the responses that `slowest` holds for.
    """
    most = min(limit or math.inf, math.ceil(_MEANS * mean))
    cut = min(best_of.early or math.inf, most)
    longer = (1 - 1 / mean) ** np.arange(int(most), dtype=np.float64)
    first, rest = longer[: int(cut)], longer[int(cut) :]
    after = float(rest.sum())
    return Steps(
        before=float(_any(first, best_of.k).sum()),
        after=after,
        tokens=best_of.k * float(first.sum()) + after,
        # As many steps as there are at which the longest is still longer more often than that.
        slowest=float((_any(first, best_of.k) > 1 - share).sum()),
        goes_on=float(rest[0]) if len(rest) else 0.0,
    )


def with_candidates(
    curve: Curve, lengths: Lengths, found: Steps, timeout_s: float
) -> tuple[Curve, Lengths]:
    """One replica in responses of several candidates: its curve, and what each costs.

    The slowest responses wait for the scores as long as they may, the others not at all.
    """
    ttft, itl = (_loaded(time, found.under_way) for time in (curve.ttft, curve.itl))
    again = replace(ttft, per_prompt_token=0.0).slowed(found.goes_on)
    first = _sum(ttft, itl.slowed(found.before - 1), again)
    slowest = _sum(
        _loaded(curve.ttft_p99, found.under_way),
        itl.slowed(max(0.0, found.slowest - 1)),
        again,
        LinearTime(timeout_s, 0.0),
    )
    shown = found.after > 0
    return (
        Curve(
            ttft=first,
            ttft_p99=slowest,
            itl=itl if shown else _NOTHING,
            itl_p99=_loaded(curve.itl_p99, found.under_way) if shown else _NOTHING,
            most=max(1, math.floor(curve.most / found.under_way)),
        ),
        replace(lengths, response=1 + found.after),
    )


def _any(longer: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The probability that any of so many candidates is longer, by the probability of one."""
    found: NDArray[np.float64] = 1 - (1 - longer) ** count
    return found


def _loaded(time: LinearTime, under_way: float) -> LinearTime:
    """The time by responses at once, each of which has so many candidates under way."""
    return replace(
        time,
        per_running=time.per_running * under_way,
        per_running_prompt_token=time.per_running_prompt_token * under_way,
    )


def _sum(*times: LinearTime) -> LinearTime:
    return LinearTime(
        base=math.fsum(t.base for t in times),
        per_running=math.fsum(t.per_running for t in times),
        per_prompt_token=math.fsum(t.per_prompt_token for t in times),
        per_running_prompt_token=math.fsum(t.per_running_prompt_token for t in times),
    )
