"""How many responses one replica answers well, and how often it is full: the queue behind a plan.

A replica with n responses under way gives each of them its first token after a time that is linear
in n and in the length of its prompt, and every further one after a time that is linear in n, so
that a response of r tokens would take S(n) if n stayed. All of
them progress alike and share the engine: a generalised processor-sharing queue, whose number of
responses has, for arrivals at random moments of rate x, P(n) proportional to the product of
x * S(k) / k over k = 1 … n, whatever the distribution of their lengths (J. W. Cohen, The Multiple
Phase Service Network with Generalized Processor Sharing, Acta Informatica 12, 1979). It is cut at
the number that still meets the service level, where Serve refuses and the router asks another
replica; who arrives at a random moment finds it full with P(limit) (Erlang's loss formula, where S
does not depend on n).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt and of a response, as means."""

    prompt: float
    response: float


@dataclass(frozen=True)
class ServiceLevel:
    """What a good response keeps to: seconds to its first token, and between tokens on average.

    `goodput` is the share of responses that have to be good.
    """

    ttft_s: float
    itl_s: float
    goodput: float = 0.99


@dataclass(frozen=True)
class Line:
    """A time in seconds: what it is at least, and by what each response and prompt token adds."""

    base: float
    per_running: float
    per_prompt_token: float = 0.0

    def at(self, running: float, prompt: float) -> float:
        """The time with so many responses under way, one's own included, for such a prompt."""
        return self.base + self.per_running * running + self.per_prompt_token * prompt


@dataclass(frozen=True)
class Curve:
    """One replica: first tokens and the time between tokens, their means and 99th percentiles.

    `most` is the largest number of responses at once that was measured.
    """

    ttft: Line
    ttft_p99: Line
    itl: Line
    itl_p99: Line
    most: int

    def response_s(self, running: float, lengths: Lengths) -> float:
        """Mean seconds of a whole response, S(n)."""
        between = self.itl.at(running, lengths.prompt)
        return self.ttft.at(running, lengths.prompt) + (lengths.response - 1) * between

    def limit(self, lengths: Lengths, level: ServiceLevel) -> int:
        """The most responses at once of which 99 % meet the level; 0 if not even one alone does."""
        return sum(1 for _ in self._within(lengths, level))

    def _within(self, lengths: Lengths, level: ServiceLevel) -> Iterator[int]:
        for running in range(1, self.most + 1):
            late = self.ttft_p99.at(running, lengths.prompt) > level.ttft_s
            if late or self.itl_p99.at(running, lengths.prompt) > level.itl_s:
                return
            yield running


@dataclass(frozen=True)
class Load:
    """One replica in the long run: responses under way on average, and the share refused."""

    running: float
    refused: float


def distribution(curve: Curve, lengths: Lengths, rate: float, limit: int) -> NDArray[np.float64]:
    """P(n) of n = 0 … limit responses under way, for `rate` arrivals per second."""
    counts = np.arange(1, limit + 1)
    times = np.array([curve.response_s(n, lengths) for n in range(1, limit + 1)])
    # Logarithms: the products overflow beyond some hundred responses.
    logs = np.concatenate(([0.0], np.cumsum(np.log(rate * times / counts))))
    weights = np.exp(logs - logs.max())
    found: NDArray[np.float64] = weights / weights.sum()
    return found


def load(curve: Curve, lengths: Lengths, rate: float, limit: int) -> Load:
    """One replica under `rate` arrivals per second, with `limit` responses at once at the most."""
    if rate == 0:
        return Load(0.0, 0.0)
    shares = distribution(curve, lengths, rate, limit)
    return Load(float(shares @ np.arange(limit + 1)), float(shares[-1]))


def replicas(curve: Curve, lengths: Lengths, level: ServiceLevel, rate: float) -> int:
    """The fewest replicas that refuse no more than the level allows, for arrivals of `rate`.

    Each of them gets an equal part, at random: conversations are spread by a hash.

    Raises:
        ValueError: not even one response alone meets the level.
    """
    limit = curve.limit(lengths, level)
    if limit == 0:
        raise ValueError("one response alone misses the service level")
    if rate == 0:
        return 1
    allowed = 1 - level.goodput
    # At the limit all the time a replica answers limit / S(limit) per second: a lower bound.
    count = max(1, math.floor(rate * (1 - allowed) * curve.response_s(limit, lengths) / limit))
    while load(curve, lengths, rate / count, limit).refused > allowed:
        count += 1
    return count
