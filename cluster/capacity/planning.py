"""From traffic, a service level and profiles to replicas: pure functions.

Weights fix the share of responses that each component receives, so weights and GPU counts are one
decision. Each component is a queue of its own (`cluster.capacity.queueing`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blended.config import BlendConfig
from blended.router.selection import normalise
from cluster.capacity.queueing import ComponentQueue, Curve, Lengths, ServiceLevel, Spread

# A router's CPU for a response and for each of its tokens (`make bench`, 2 cores of an AMD EPYC:
# 0.60 ms for one without a stream, 6.36 ms for 64 tokens one by one), and how busy it may be.
_ROUTER_S_PER_RESPONSE, _ROUTER_S_PER_TOKEN, _ROUTER_BUSY = 0.0006, 0.00009, 0.6
_FEWEST_ROUTERS = 2
_HOUR_S = 3600.0


@dataclass(frozen=True)
class Demand:
    """Responses per second, one number or one for each hour of a day; their lengths; the level.

    The level holds even after the loss of `spare` replicas of each component.

    Raises:
        ValueError: the level allows no refusal at all, which no number of replicas can keep, or
            `spare` is negative.
    """

    rates: tuple[float, ...]
    lengths: Lengths
    level: ServiceLevel
    spare: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.level.goodput < 1:
            raise ValueError(f"a goodput of {self.level.goodput:g} is not between 0 and 1")
        if self.spare < 0:
            raise ValueError(f"{self.spare} spare replicas are fewer than none")

    @property
    def peak(self) -> float:
        """The largest rate."""
        return max(self.rates)


@dataclass(frozen=True)
class ComponentPlan:
    """What one component needs: `rate` is its part of the peak, `gpus` those of all replicas.

    `capacity` are the rates that 1, 2, … replicas answer well, those to spare taken off. `missed`
    is the share of responses that are late or refused at the peak, without the spare replicas;
    `gpu_s` are GPU seconds over all hours.
    """

    share: float
    rate: float
    min_replicas: int
    max_replicas: int
    target_ongoing_requests: float
    max_ongoing_requests: int
    max_queued_requests: int
    capacity: tuple[float, ...]
    gpus: int
    accelerator: str
    missed: float
    gpu_s: float


@dataclass(frozen=True)
class CapacityPlan:
    """The components by id, the routers, and what 1,000 responses take, over all hours.

    `predicted` are the components with predicted profiles: their means keep the level.
    """

    components: Mapping[str, ComponentPlan]
    routers: int
    gpu_seconds_per_1000: float
    money_per_1000: float | None
    predicted: tuple[str, ...] = ()


def plan(
    blend: BlendConfig,
    curves: Mapping[str, Curve],
    demand: Demand,
    prices: Mapping[str, float] | None = None,
) -> CapacityPlan:
    """The plan of a blend; `prices` are by accelerator, for one GPU and hour.

    Raises:
        ValueError: a component cannot meet the level, however many replicas it has.
    """
    share = normalise(blend.weights).by_component
    components = {
        name: _component(blend, name, share[name], curve, demand) for name, curve in curves.items()
    }
    responses = sum(demand.rates) * _HOUR_S
    gpu_s = math.fsum(c.gpu_s for c in components.values())
    return CapacityPlan(
        components=components,
        routers=routers(demand),
        gpu_seconds_per_1000=1e3 * gpu_s / responses,
        money_per_1000=_money(components, responses, prices) if prices else None,
    )


def routers(demand: Demand) -> int:
    """Router replicas for the peak, one of them to spare."""
    busy = _ROUTER_S_PER_RESPONSE + _ROUTER_S_PER_TOKEN * demand.lengths.response
    return max(_FEWEST_ROUTERS, math.ceil(demand.peak * busy / _ROUTER_BUSY) + 1)


def _component(
    blend: BlendConfig, name: str, share: float, curve: Curve, demand: Demand
) -> ComponentPlan:
    hardware = blend.hardware[name]
    queue = ComponentQueue(curve, demand.lengths, demand.level, _spread(blend, name))
    counts = [_replicas(name, queue, share * rate) for rate in demand.rates]
    needed, peak = max(counts), share * demand.peak
    busiest = queue.load(peak, needed)
    gpus = hardware.tensor_parallel_size if hardware.accelerator != "cpu" else 0
    most = needed + demand.spare
    return ComponentPlan(
        share=share,
        rate=peak,
        min_replicas=min(counts) + demand.spare,
        max_replicas=most,
        target_ongoing_requests=max(1.0, round(busiest.running, 1)),
        max_ongoing_requests=queue.at_once,
        max_queued_requests=queue.waiting,
        capacity=tuple(_rate(queue, count - demand.spare) for count in range(1, most + 1)),
        gpus=gpus * most,
        accelerator=hardware.accelerator,
        missed=busiest.missed,
        gpu_s=gpus * sum(count + demand.spare for count in counts) * _HOUR_S,
    )


def _spread(blend: BlendConfig, name: str) -> Spread:
    """Engines get conversations by hash; simulated components have no prefix cache."""
    kind = next(c.kind for c in blend.components if c.id == name)
    return "least" if kind == "simulated" else "hash"


def _replicas(name: str, queue: ComponentQueue, rate: float) -> int:
    try:
        return queue.replicas(rate)
    except ValueError as exc:
        first = queue.curve.ttft_p99.at(1, queue.lengths.prompt)
        between = queue.curve.itl_p99.at(1, queue.lengths.prompt)
        raise ValueError(
            f"Component '{name}' cannot meet the service level: one response alone has its first "
            f"token after {first:.3g} s and {between:.3g} s between tokens (99 of 100), and "
            f"{queue.level.ttft_s:g} s and {queue.level.itl_s:g} s are allowed; allow more, or "
            "take a faster model or GPU."
        ) from exc


def _rate(queue: ComponentQueue, replicas: int) -> float:
    return round(queue.rate(replicas), 3) if replicas > 0 else 0.0


def _money(
    components: Mapping[str, ComponentPlan], responses: float, prices: Mapping[str, float]
) -> float:
    spent = [c.gpu_s / _HOUR_S * prices[c.accelerator] for c in components.values() if c.gpus]
    return 1e3 * math.fsum(spent) / responses


def hours(rates: Sequence[float]) -> tuple[float, ...]:
    """One rate, or one for each hour of a day.

    Raises:
        ValueError: they are neither one nor 24, or one is negative, or none is above 0.
    """
    if len(rates) not in (1, 24):
        raise ValueError(f"there are {len(rates)} rates; give one, or one for each of 24 hours")
    if min(rates) < 0 or max(rates) <= 0 or not all(math.isfinite(r) for r in rates):
        raise ValueError("rates are responses per second: none below 0, one above 0")
    return tuple(rates)
