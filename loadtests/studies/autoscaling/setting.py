"""The blend of the day, its planned replica settings, and the contenders that scale it."""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

from blended.config import BlendConfig, Simulation
from blended.router.selection import normalise
from cluster.capacity.queueing import ComponentQueue, Curve, Lengths, LinearTime, ServiceLevel
from loadtests.studies.autoscaling.day import RUSH_FACTOR, Day


@dataclass(frozen=True)
class Contender:
    """A contender: the policy by the expected rate (`is_aware`), or Ray's own policy.

    Ray's policy aims at the plan's `target_ongoing_requests` times `target`. The plan keeps the
    level for the share `goodput` of the responses.
    """

    id: str
    says: str
    is_aware: bool
    goodput: float = 0.99
    target: float = 1.0
    upscale_delay_s: float = 30
    downscale_delay_s: float = 600

    def faster(self, times: float) -> "Contender":
        """The same contender for a day that is `faster` times faster."""
        up_s, down_s = self.upscale_delay_s / times, self.downscale_delay_s / times
        return replace(self, upscale_delay_s=up_s, downscale_delay_s=down_s)


@dataclass(frozen=True)
class Setting:
    """A day, the engine that all components simulate, and the service level.

    `rate_window_s` is the window in which the router counts.
    """

    day: Day
    simulation: Simulation
    level: ServiceLevel
    rate_window_s: float = 60

    def blend(self, contender: Contender) -> BlendConfig:
        """The contender's blend; only the aware contender has the capacities."""
        components = [self._component(name, contender) for name in self.day.before]
        replicas = {"min": 1, "max": 1, "rate_window_s": self.rate_window_s}
        router = {"cpus": 0.1, "replicas": replicas}
        selection = {"weights": dict(self.day.before)}
        return BlendConfig.model_validate(
            {
                "name": contender.id,
                "components": components,
                "router": router,
                "selection": selection,
            }
        )

    def _component(self, name: str, contender: Contender) -> dict[str, Any]:
        shares = [normalise(w).by_component[name] for w in (self.day.before, self.day.after)]
        queue, quietest = self._queue(contender.goodput), min(shares) * self.day.quietest
        busiest = max(shares) * self.day.busiest
        needed, most = queue.replicas(busiest), queue.replicas(busiest * RUSH_FACTOR)
        replicas: dict[str, Any] = {
            "min": queue.replicas(quietest),
            "max": most,
            "target_ongoing_requests": queue.load(busiest, needed).running * contender.target,
            "max_ongoing_requests": queue.at_once,
            "max_queued_requests": queue.waiting,
            "upscale_delay_s": contender.upscale_delay_s,
            "downscale_delay_s": contender.downscale_delay_s,
        }
        if contender.is_aware:
            replicas["capacity"] = [queue.rate(count) for count in range(1, most + 1)]
        return {
            "id": name,
            "kind": "simulated",
            "simulation": self.simulation.model_dump(mode="json"),
            "replicas": replicas,
        }

    def _queue(self, goodput: float) -> ComponentQueue:
        """A replica's profile, from the simulation's own numbers: nothing is measured."""
        s = self.simulation
        late = math.exp(NormalDist().inv_cdf(0.99) * spread(s) - spread(s) ** 2 / 2)
        ttft = LinearTime(s.ttft_ms / 1e3, s.ttft_ms_per_running / 1e3)
        ttft_p99 = LinearTime(ttft.base * late, ttft.per_running * late)
        # Over a whole response the delays of its tokens average out.
        itl = LinearTime(s.itl_ms / 1e3, s.itl_ms_per_running / 1e3)
        curve = Curve(ttft, ttft_p99, itl, itl, s.concurrency)
        level = replace(self.level, goodput=goodput)
        return ComponentQueue(curve, Lengths(0, s.tokens), level, "least")


def spread(simulation: Simulation) -> float:
    """The standard deviation of the logarithm of a time: sigma^2 = ln(1 + jitter^2)."""
    return math.sqrt(math.log(1 + simulation.jitter**2))
