"""The quality of responses by the number of candidates, where the reward model's truth is known.

Of K normal qualities the largest is E(K) standard deviations above the mean: 0.564, 1.029 and 1.424
for K = 2, 4 and 8. A model whose score correlates with the quality by rho chooses one whose quality
is rho times that above the mean.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

from blended.components.simulated_quality import quality_of
from loadtests.harness.timed_client import MeasurementFailed, TimedResponse, answered, session

# A limit that cuts as good as no response.
LONGEST = 2048


def largest_of(count: int) -> float:
    """The mean of the largest of so many standard normal numbers."""
    found, _ = quad(lambda x: count * x * norm.pdf(x) * norm.cdf(x) ** (count - 1), -12, 12)
    return float(found)


async def responses(
    target: Mapping[str, Any], model: str, count: int, at_once: int
) -> list[TimedResponse]:
    """So many responses of one component, each client's next one when its last has ended."""
    left = iter(range(count))
    found = list[TimedResponse]()
    async with session(dict(target["headers"])) as http:

        async def client() -> None:
            for number in left:
                messages = [{"role": "user", "content": f"Question {number}?"}]
                found.append(await answered(http, target["url"], model, messages, LONGEST))

        await asyncio.gather(*(client() for _ in range(at_once)))
    return found


def gain(
    one: Sequence[TimedResponse], several: Sequence[TimedResponse], count: int, correlation: float
) -> dict[str, float]:
    """How much better the responses of `count` candidates are, in standard deviations of quality.

    `errors` are the standard errors by which that differs from what the theory expects.
    """
    plain, best = (np.array([_quality(r) for r in found]) for found in (one, several))
    expected = correlation * largest_of(count)
    error = math.sqrt(stdev(plain) ** 2 / len(plain) + stdev(best) ** 2 / len(best))
    measured = fmean(best) - fmean(plain)
    return {
        "correlation": correlation,
        "responses": len(best),
        "gain": round(measured, 4),
        "standard_error": round(error, 4),
        "expected": round(expected, 4),
        "errors": round((measured - expected) / error, 2),
    }


def _quality(response: TimedResponse) -> float:
    if (found := quality_of(response.text)) is None:
        raise MeasurementFailed(f"a response has no quality: {response.text[:40]!r}")
    return found
