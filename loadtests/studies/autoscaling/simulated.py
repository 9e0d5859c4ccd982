"""A whole day in simulated time: Serve's real autoscaling over simulated replicas."""

import heapq
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from blended.app import COMPONENT_APP_PREFIX, ROUTER_APP, serve_config
from blended.autoscaling.rate_board import metrics
from blended.config import BlendConfig, SimulatedComponent
from blended.internal import INTERNAL_KEY_ENV
from blended.router.arrivals import Arrivals
from blended.router.blend import Blend, resolve
from blended.router.failover import Failure, choose
from loadtests.studies.autoscaling.controller import Clock, Deployment, Reports
from loadtests.studies.autoscaling.fleet import Fleet
from loadtests.studies.autoscaling.outcome import DayOutcome
from loadtests.studies.autoscaling.queueing import QueuedResponse
from loadtests.studies.autoscaling.setting import Contender, Setting, spread

Span = tuple[float, float]
_NEVER: Span = (math.inf, math.inf)
# Serve's controller decides several times per second; a replica takes far longer to start.
_LOOP_S = 1.0
_PLOT_S = 60.0
# Ray's clock when the day begins.
_MIDNIGHT = 1e9


@dataclass(frozen=True)
class Trouble:
    """Failures, in seconds since the day began.

    During `down` the component `broken` reports nothing; during `silent` the router reports
    nothing.
    """

    broken: str = ""
    down: Span = _NEVER
    silent: Span = _NEVER


def live_through(
    setting: Setting,
    contender: Contender,
    startup_s: float,
    seed: int,
    trouble: Trouble = Trouble(),
) -> DayOutcome:
    """A contender's day, with replicas that start in `startup_s`."""
    clock = Clock(_MIDNIGHT)
    with clock.is_rays():
        world = _World(setting, contender, startup_s, seed, trouble, clock)
        world.live()
    return world.outcome


class _World:
    def __init__(
        self,
        setting: Setting,
        contender: Contender,
        startup_s: float,
        seed: int,
        trouble: Trouble,
        clock: Clock,
    ) -> None:
        self._setting, self._trouble, self._clock = setting, trouble, clock
        self._seed, self._rng = seed, random.Random(seed)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self.outcome = DayOutcome()
        config = setting.blend(contender)
        served = [c for c in config.components if isinstance(c, SimulatedComponent)]
        deployments = _deployments(config, contender)
        self._fleets = {
            c.id: Fleet(
                c,
                deployments[COMPONENT_APP_PREFIX + c.id],
                startup_s,
                self._schedule,
                self._ended,
            )
            for c in served
        }
        self._router = Deployment(ROUTER_APP, deployments[ROUTER_APP])
        self._router_replica = self._router.replica("0")
        self._reports = Reports(self._router_replica, self._router.config)
        self._capacities = {c.id: c.replicas.capacity for c in served if c.replicas.capacity}
        self._arrivals = Arrivals(clock.time)
        self._use(config)

    def live(self) -> None:
        self._schedule(0.0, self._control)
        self._schedule(self._setting.day.change_s, self._change_weights)
        for response in self._responses():
            self._let_pass(response.arrived_s)
            self._arrive(response)
        self._let_pass(self._setting.day.length_s)
        self.outcome.ups = sum(fleet.ups for fleet in self._fleets.values())
        self.outcome.downs = sum(fleet.downs for fleet in self._fleets.values())

    def _responses(self) -> Iterator[QueuedResponse]:
        """The responses, equal for every contender: their arrivals, lengths and delays."""
        arrivals_s = self._setting.day.arrivals(self._seed)
        simulation, rng = self._setting.simulation, np.random.default_rng(self._seed)
        tokens = rng.geometric(1 / simulation.tokens, arrivals_s.size)
        sigma = spread(simulation)
        lateness = rng.lognormal(-(sigma**2) / 2, sigma, arrivals_s.size)
        rows = zip(arrivals_s.tolist(), tokens.tolist(), lateness.tolist(), strict=True)
        return (QueuedResponse(*row) for row in rows)

    def _schedule(self, at_s: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at_s, next(self._order), event))

    def _let_pass(self, until_s: float) -> None:
        while self._events and self._events[0][0] <= until_s:
            now, _, event = heapq.heappop(self._events)
            event(now)

    def _use(self, config: BlendConfig) -> None:
        self._blend: Blend = resolve(config, "http://127.0.0.1", {INTERNAL_KEY_ENV: "unused"})
        self._arrivals.use(self._blend)

    def _change_weights(self, now: float) -> None:
        config = self._blend.config
        weights = dict(self._setting.day.after)
        selection = config.selection.model_copy(update={"weights": weights})
        self._use(config.model_copy(update={"selection": selection}))

    def _arrive(self, response: QueuedResponse) -> None:
        """The router's treatment of a request."""
        now = response.arrived_s
        self._clock.now = _MIDNIGHT + now
        self._arrivals.count(self._blend.config.name)
        uniforms = [self._rng.random() for _ in range(1 + len(self._fleets))]
        out = {self._trouble.broken} if _is_in(now, self._trouble.down) else set[str]()
        drawn = choose(self._blend.distribution, (), (), uniforms.__getitem__)
        failures = list[Failure]()
        while choice := choose(self._blend.distribution, out, failures, uniforms.__getitem__):
            is_redrawn = drawn is not None and choice.component != drawn.component
            if is_redrawn:
                self._arrivals.count(choice.component)
            if self._fleets[choice.component].take(response, now):
                self.outcome.asked_again += is_redrawn
                return
            failures.append(Failure(choice, "full", False))
        self.outcome.ends["refused"] += 1

    def _ended(self, response: QueuedResponse) -> None:
        self.outcome.end(response.ttft_s, response.itl_s, self._setting.level)

    def _control(self, now: float) -> None:
        """One loop of Serve's controller."""
        self._clock.now = _MIDNIGHT + now
        if not _is_in(now, self._trouble.silent):
            recorded = metrics(self._capacities, self._arrivals.expected(self._blend))
            self._reports.report(self._clock.now, recorded, self._router)
        self._router.decide([self._router_replica])
        replicas = {i: f.control(now, self._clock.now) for i, f in self._fleets.items()}
        self.outcome.replica_s += sum(replicas.values()) * _LOOP_S
        if now % _PLOT_S < _LOOP_S:
            self.outcome.course.append((now, replicas))
        if now + _LOOP_S < self._setting.day.length_s:
            self._schedule(now + _LOOP_S, self._control)


def _deployments(config: BlendConfig, contender: Contender) -> dict[str, dict[str, Any]]:
    """Serve's information on each application's deployment, with the contender's policy."""
    apps = serve_config(config, 8000)["applications"]
    found = {app["name"]: app["deployments"][0] for app in apps}
    if not contender.is_aware:
        for deployment in found.values():
            del deployment["autoscaling_config"]["policy"]
    return found


def _is_in(now: float, span: Span) -> bool:
    return span[0] <= now < span[1]
