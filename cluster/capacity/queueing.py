"""The queueing model behind a plan: how many responses the replicas of a component answer in time.

A replica with n responses under way gives each of them its first token after a time that is linear
in n and in the length of its prompt, and every further one after a time that is linear in n and in
the prompts of all n, so that a response of r tokens would take S(n) if n stayed. All of them
progress alike and share the engine: a generalised processor-sharing queue, whose number of
responses has, for arrivals at random moments of rate x, P(n) proportional to the product of
x * S(k) / k over k = 1 … n, whatever the distribution of their lengths (J. W. Cohen, The Multiple
Phase Service Network with Generalized Processor Sharing, Acta Informatica 12, 1979). The replica
runs as many responses at once as still meet the service level, and queues as many requests as would
still be in time. A request behind k - 1 others waits for an Erlang time of k phases (exact for
exponential lengths). A request that arrives at a random moment finds n responses with P(n), so that
the share of late or refused requests is a sum over P(n). This is Erlang's loss formula if S does
not depend on n and no request waits.

Requests are spread over replicas in two ways. "least" gives a request to the replica with the
fewest: c replicas are one queue with c times the places, where each runs n / c. "hash" gives all of
a conversation to one replica: separate queues, and a refused request tries another one at random.
Each replica then sees x * (1 + B), where it refuses the share B. That replicas are full
independently of each other is an approximation, which a simulation confirms.
"""

import math
from bisect import bisect_left
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammainc

Spread = Literal["least", "hash"]

# Requests of the same millisecond count as waiting, so a few places for them are needed.
_FEWEST_WAITING = 2


@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt and of a response, as means."""

    prompt: float
    response: float


@dataclass(frozen=True)
class ServiceLevel:
    """The limits of a good response: seconds to its first token, and between tokens on average.

    `goodput` is the share of responses that have to be good.
    """

    ttft_s: float
    itl_s: float
    goodput: float = 0.99


@dataclass(frozen=True)
class LinearTime:
    """A time in seconds: a minimum, and what each response and prompt token adds.

    `per_prompt_token` is for one's own prompt, `per_running_prompt_token` for those of all.
    """

    base: float
    per_running: float
    per_prompt_token: float = 0.0
    per_running_prompt_token: float = 0.0

    def at(self, running: float, prompt: float) -> float:
        """The time with so many responses under way, one's own included, for such a prompt."""
        shared = self.per_running_prompt_token * running * prompt
        return self.base + self.per_running * running + self.per_prompt_token * prompt + shared

    def slowed(self, factor: float) -> "LinearTime":
        """So many times as long."""
        return LinearTime(*(factor * value for value in astuple(self)))


@dataclass(frozen=True)
class Curve:
    """One replica: first tokens and the time between tokens, their means and 99th percentiles.

    `most` is the largest number of responses at once that was measured.
    """

    ttft: LinearTime
    ttft_p99: LinearTime
    itl: LinearTime
    itl_p99: LinearTime
    most: int

    def slowed(self, factor: float) -> "Curve":
        """The replica on a GPU that does as much for `factor` - 1 others all the time."""
        return Curve(
            ttft=self.ttft.slowed(factor),
            ttft_p99=self.ttft_p99.slowed(factor),
            itl=self.itl.slowed(factor),
            itl_p99=self.itl_p99.slowed(factor),
            most=self.most,
        )

    def response_s(self, running: float, lengths: Lengths) -> float:
        """Mean seconds of a whole response, S(n)."""
        between = self.itl.at(running, lengths.prompt)
        return self.ttft.at(running, lengths.prompt) + (lengths.response - 1) * between

    def meets(self, running: int, lengths: Lengths, level: ServiceLevel) -> bool:
        """Whether 99 % of the responses meet the level while so many are under way."""
        late = self.ttft_p99.at(running, lengths.prompt) > level.ttft_s
        return not late and self.itl_p99.at(running, lengths.prompt) <= level.itl_s


@dataclass(frozen=True)
class SteadyState:
    """Replicas in the long run: responses under way at each, and the share that is not good.

    `missed` are those that are late because they waited, and those that are refused.
    """

    running: float
    missed: float


@dataclass(frozen=True)
class ComponentQueue:
    """The replicas of one component: what each does, what it is asked, and how they are spread."""

    curve: Curve
    lengths: Lengths
    level: ServiceLevel
    spread: Spread

    @cached_property
    def at_once(self) -> int:
        """The most responses at once of which 99 % meet the level; 0 if a single one misses it."""
        return next(
            n
            for n in range(self.curve.most + 1)
            if n == self.curve.most or not self.curve.meets(n + 1, self.lengths, self.level)
        )

    @cached_property
    def waiting(self) -> int:
        """How many requests may wait at a replica so that each still has its first token in time.

        In time means with the probability that the level's goodput asks for, as everywhere here.
        """
        lines = np.arange(1, self.at_once + 1)
        return max(_FEWEST_WAITING, int((self._in_time(lines) >= self.level.goodput).sum()))

    def load(self, rate: float, replicas: int) -> SteadyState:
        """So many replicas under `rate` arrivals per second."""
        if rate == 0:
            return SteadyState(0.0, 0.0)
        if self.spread == "least":
            return self._states(replicas).under(rate).load
        return self._apart(rate / replicas, replicas)

    def replicas(self, rate: float) -> int:
        """The fewest replicas that keep the level.

        With more replicas fewer responses miss it, so that bisection finds the number. Below the
        fluid limit, at which every replica is full all the time, there is nothing to search.

        Raises:
            ValueError: not even one response alone meets the level.
        """
        if self.at_once == 0:
            raise ValueError("one response alone misses the service level")
        full_s = self._response_s(self.at_once) / self.at_once
        too_few = max(0, math.ceil(rate * self.level.goodput * float(full_s)) - 1)
        step = 1
        while not self._keeps(rate, too_few + step):
            too_few, step = too_few + step, 2 * step
        between = range(too_few + 1, too_few + step)
        found = bisect_left(between, True, key=lambda count: self._keeps(rate, count))
        return too_few + 1 + found

    def rate(self, replicas: int) -> float:
        """The largest rate of arrivals, per second, at which so many replicas keep the level."""
        most = replicas * (self.at_once + self.waiting) / self._response_s(self.at_once)
        return float(brentq(lambda rate: self._missed_too_many(rate, replicas), 0.0, most))

    def _keeps(self, rate: float, replicas: int) -> bool:
        return self._missed_too_many(rate, replicas) <= 0

    def _missed_too_many(self, rate: float, replicas: int) -> float:
        return self.load(rate, replicas).missed - (1 - self.level.goodput)

    def _response_s(self, running: Any) -> Any:
        return self.curve.response_s(running, self.lengths)

    @cached_property
    def _alone(self) -> "_States":
        return self._states(1)

    def _states(self, replicas: int) -> "_States":
        places = replicas * self.at_once
        counts = np.arange(1, places + replicas * self.waiting + 1)
        running = np.minimum(counts, places)
        # A replica that has something to do runs one response at least.
        times = self._response_s(np.maximum(1.0, running / replicas))
        # Each replica has about the same number of waiting requests.
        late = 1 - np.repeat(self._in_time(np.arange(1, self.waiting + 1)), replicas)
        logs = np.concatenate(([0.0], np.cumsum(np.log(times / running))))
        return _States(logs, running / replicas, late)

    def _apart(self, each: float, replicas: int) -> SteadyState:
        """Replicas as separate queues; a refused request tries any of them, the same one included.

        A replica that refuses the share B sees x * (1 + B), which is at most twice its own rate x.
        """
        seen = brentq(lambda rate: rate / (1 + self._alone.refused(rate)) - each, each, 2 * each)
        one = self._alone.under(seen)
        late = one.load.missed - one.refused
        lost = one.refused * (1 / replicas + (1 - 1 / replicas) * one.refused)
        return SteadyState(one.load.running, late * (1 + one.refused) + lost)

    def _in_time(self, lines: NDArray[Any]) -> NDArray[np.float64]:
        """The probability that the k-th request in the queue of a full replica has its token in
        time.

        Each phase lasts S / n on average, until one of the n running responses has ended.
        """
        first = self.curve.ttft.at(self.at_once, self.lengths.prompt)
        phases = (self.level.ttft_s - first) * self.at_once / self._response_s(self.at_once)
        found: NDArray[np.float64] = gammainc(lines, phases)
        return found


@dataclass(frozen=True)
class _Queue:
    load: SteadyState
    refused: float


@dataclass(frozen=True)
class _States:
    """The numbers of responses n = 0 … that replicas may have, without the rate of arrivals.

    `logs` are the logarithms of the products of S(k) / k over k = 1 … n: the products overflow
    beyond some hundred responses. `running` are those of n = 1 … that run, for each replica, and
    `late` is the probability that a request that has to wait is late, by its place in the line.
    """

    logs: NDArray[np.float64]
    running: NDArray[np.float64]
    late: NDArray[np.float64]

    def under(self, rate: float) -> _Queue:
        """In the long run, at a rate of arrivals."""
        shares = self._shares(rate)
        late = float(shares[-len(self.late) - 1 : -1] @ self.late)
        refused = float(shares[-1])
        return _Queue(SteadyState(float(shares[1:] @ self.running), late + refused), refused)

    def refused(self, rate: float) -> float:
        """The share of requests that find no place."""
        return float(self._shares(rate)[-1])

    def _shares(self, rate: float) -> NDArray[np.float64]:
        logs = self.logs + np.arange(len(self.logs)) * math.log(rate)
        weights = np.exp(logs - logs.max())
        found: NDArray[np.float64] = weights / weights.sum()
        return found
