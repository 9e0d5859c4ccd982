"""A simulation of a blend by single tokens: clients, routers and replicas.

A replica is a number of places, each of which runs a response for a fixed time. Components are
drawn uniformly, and drawn again if all replicas of one are full. A router is one CPU that serves
the beginning of each response and each of its tokens in order of arrival, for the measured time.
Ray Serve's controller has no part in a response: its CPU time grows with the replicas it watches.
"""

import heapq
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.harness.percentiles import percentile


@dataclass(frozen=True)
class SimulatedFleet:
    """The simulated blend: `replicas` of each component, with `places` each.

    A response has `tokens`; the first comes after `ttft_s`, the others `itl_s` apart. `router_s` is
    a router's CPU time for a response.
    """

    components: int
    replicas: int
    places: int
    routers: int
    tokens: int
    ttft_s: float
    itl_s: float
    router_s: float

    @property
    def response_s(self) -> float:
        """Seconds that a component takes for a response."""
        return self.ttft_s + (self.tokens - 1) * self.itl_s

    @property
    def capacity(self) -> float:
        """Responses per second while every place is taken."""
        return self.components * self.replicas * self.places / self.response_s


@dataclass(frozen=True)
class MeasuredLevel:
    """One measured level: `per_s` are responses per second, CPUs are those taken, by role.

    `capacity` is what the places alone allow.
    """

    replicas: int
    places: int
    routers: int
    clients: int
    capacity: float
    responses: int
    refused: int
    per_s: float
    cpus: Mapping[str, float]
    machine_busy: float
    load_average: float


@dataclass(frozen=True)
class PredictedLevel:
    """Responses per second, how busy a router is (0 to 1), and what 99 of 100 tokens wait there."""

    per_s: float
    router_busy: float
    wait_p99_s: float


class _Simulation:
    def __init__(self, site: SimulatedFleet, rng: random.Random) -> None:
        self.site, self.rng = site, rng
        self.free_at = [0.0] * site.routers
        self.left = [site.replicas * site.places] * site.components
        self.work_s = site.router_s / (site.tokens + 1)
        self.events: list[tuple[float, int, int, int]] = []
        self.ended_at, self.waits = list[float](), list[float]()

    def run(self, seconds: float) -> None:
        """As many clients as places, each sending its next request when its response has ended."""
        for _ in range(sum(self.left)):
            self._ask(self.rng.uniform(0, self.site.response_s))
        while self.events and self.events[0][0] < seconds:
            now, token, router, component = heapq.heappop(self.events)
            if token < 0:
                self._begin(now, router)
                continue
            through = self._pass(now, router)
            if token + 1 < self.site.tokens:
                next_at = now + self.site.itl_s
                heapq.heappush(self.events, (next_at, token + 1, router, component))
            else:
                self.left[component] += 1
                self.ended_at.append(through)
                self._ask(through)

    def _ask(self, now: float) -> None:
        heapq.heappush(self.events, (now, -1, self.rng.randrange(self.site.routers), -1))

    def _begin(self, now: float, router: int) -> None:
        asked_at = self._pass(now, router)
        component = self.rng.choice([c for c, left in enumerate(self.left) if left > 0])
        self.left[component] -= 1
        heapq.heappush(self.events, (asked_at + self.site.ttft_s, 0, router, component))

    def _pass(self, now: float, router: int) -> float:
        begun = max(now, self.free_at[router])
        self.waits.append(begun - now)
        self.free_at[router] = begun + self.work_s
        return self.free_at[router]


def simulate(site: SimulatedFleet, seconds: float, rng: random.Random) -> PredictedLevel:
    """Simulate some seconds, of which the last two thirds count."""
    simulation = _Simulation(site, rng)
    simulation.run(seconds)
    begin = seconds / 3
    ended = sum(begin <= at < seconds for at in simulation.ended_at)
    per_s = ended / (seconds - begin)
    return PredictedLevel(
        per_s=per_s,
        router_busy=per_s * site.router_s / site.routers,
        wait_p99_s=percentile(sorted(simulation.waits), 0.99),
    )


def line(replicas: Sequence[float], cpus: Sequence[float]) -> tuple[float, float]:
    """CPUs of the controller without replicas, and for each replica more, by least squares."""
    slope, base = np.polyfit(replicas, cpus, 1)
    return float(base), float(slope)
