"""From traffic, a service level and profiles to replicas: pure functions.

Weights fix the share of responses that each component receives, so weights and GPU counts are one
decision. Each component is a queue of its own (`cluster.capacity.queueing`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from blended.config import BlendConfig, gpu_shares
from blended.internal import REWARD
from blended.router.selection import normalise
from cluster.capacity import best_of, reward_planning
from cluster.capacity.queueing import ComponentQueue, Curve, Lengths, ServiceLevel, Spread
from cluster.capacity.reward_planning import RewardPlan

# A router's CPU for a response and for each of its tokens (`make bench`, 2 cores of an AMD EPYC:
# 0.60 ms for one without a stream, 6.36 ms for 64 tokens one by one), and how busy it may be.
_ROUTER_S_PER_RESPONSE, _ROUTER_S_PER_TOKEN, _ROUTER_BUSY = 0.0006, 0.00009, 0.6
_FEWEST_ROUTERS = 2
_HOUR_S = 3600.0
# Beyond so many replicas another one adds about what the last one did, as autoscaling assumes.
_LISTED = 100

# Called with what is being planned, which may take a while.
Report = Callable[[str], None]


@dataclass(frozen=True)
class Demand:
    """Responses per second, one number or one for each hour of a day; their lengths; the level.

    `of_components` are the lengths of components whose requests differ from the others'. The level
    holds even after the loss of `spare` replicas of each component. `reward_s` are the seconds of a
    replica of the reward model that a response of several candidates takes.

    Raises:
        ValueError: the level allows no refusal at all, which no number of replicas can keep, or
            `spare` is negative.
    """

    rates: tuple[float, ...]
    lengths: Lengths
    level: ServiceLevel
    spare: int = 1
    of_components: Mapping[str, Lengths] = field(default_factory=dict)
    reward_s: float = 0.0

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

    `capacity` are the rates that 1, 2, … replicas answer well, those to spare taken off; it ends at
    100. `missed` is the share of responses that are late or refused at the peak, without the spare
    replicas. `hourly` are the replicas of each hour, and `gpu_s` their GPU seconds, or those of
    their shares of GPUs.
    """

    share: float
    rate: float
    min_replicas: int
    max_replicas: int
    target_ongoing_requests: float
    max_ongoing_requests: int
    max_queued_requests: int
    capacity: tuple[float, ...]
    gpus: float
    accelerator: str
    missed: float
    hourly: tuple[int, ...]
    gpu_s: float


@dataclass(frozen=True)
class CapacityPlan:
    """The components by id, the routers, the GPUs, and what 1,000 responses take over all hours.

    `gpus` are whole ones at the peak; where components share them, as many as they may need in
    whatever order their replicas come and go. `predicted` are the components with predicted
    profiles: their means keep the level.
    """

    components: Mapping[str, ComponentPlan]
    routers: int
    gpus: int
    gpu_seconds_per_1000: float
    money_per_1000: float | None
    predicted: tuple[str, ...] = ()
    reward: RewardPlan | None = None


def plan(
    blend: BlendConfig,
    curves: Mapping[str, Curve],
    demand: Demand,
    prices: Mapping[str, float] | None = None,
    report: Report = lambda what: None,
) -> CapacityPlan:
    """The plan of a blend; `prices` are by accelerator, for one GPU and hour.

    Raises:
        ValueError: a component cannot meet the level, however many replicas it has.
    """
    share = normalise(blend.weights).by_component
    components: dict[str, ComponentPlan] = {}
    for name, curve in curves.items():
        report(f"component '{name}', {len(components) + 1} of {len(curves)}")
        components[name] = _component(blend, name, share[name], curve, demand)
    responses = sum(demand.rates) * _HOUR_S
    reward = reward_planning.plan(blend, share, demand.rates, demand.spare, demand.reward_s)
    planned: dict[str, ComponentPlan | RewardPlan] = dict(components)
    if reward is not None:
        planned[REWARD] = reward
    hours_of = _gpu_hours(blend, planned)
    return CapacityPlan(
        components=components,
        reward=reward,
        routers=routers(demand),
        gpus=_gpus(blend, {name: c.max_replicas for name, c in planned.items()}),
        gpu_seconds_per_1000=1e3 * math.fsum(hours_of.values()) * _HOUR_S / responses,
        money_per_1000=_money(hours_of, responses, prices) if prices else None,
    )


def routers(demand: Demand) -> int:
    """Router replicas for the peak, one of them to spare."""
    busy = _ROUTER_S_PER_RESPONSE + _ROUTER_S_PER_TOKEN * demand.lengths.response
    return max(_FEWEST_ROUTERS, math.ceil(demand.peak * busy / _ROUTER_BUSY) + 1)


def _component(
    blend: BlendConfig, name: str, share: float, curve: Curve, demand: Demand
) -> ComponentPlan:
    hardware = blend.hardware[name]
    found = curve.slowed(_neighbours(blend, name))
    lengths = demand.of_components.get(name, demand.lengths)
    found, lengths = _candidates(blend, name, found, lengths, demand.level)
    queue = ComponentQueue(found, lengths, demand.level, _spread(blend, name))
    counts = [_replicas(name, queue, share * rate) for rate in demand.rates]
    needed, peak = max(counts), share * demand.peak
    busiest = queue.load(peak, needed)
    most = needed + demand.spare
    return ComponentPlan(
        share=share,
        rate=peak,
        min_replicas=min(counts) + demand.spare,
        max_replicas=most,
        target_ongoing_requests=max(1.0, round(busiest.running, 1)),
        max_ongoing_requests=queue.at_once,
        max_queued_requests=queue.waiting,
        capacity=_capacity(queue, most, demand.spare),
        gpus=round(hardware.gpus * most, 2),
        accelerator=hardware.accelerator,
        missed=busiest.missed,
        hourly=tuple(count + demand.spare for count in counts),
        gpu_s=hardware.gpus * sum(count + demand.spare for count in counts) * _HOUR_S,
    )


def _candidates(
    blend: BlendConfig, name: str, curve: Curve, lengths: Lengths, level: ServiceLevel
) -> tuple[Curve, Lengths]:
    """What a replica does where each response has several candidates."""
    component = next(c for c in blend.components if c.id == name)
    wanted = blend.best_of(component)
    if wanted is None or blend.reward is None:
        return curve, lengths
    limit = component.sampling.max_tokens.default
    steps = best_of.steps(
        lengths.response, wanted, None if limit is None else int(limit), level.goodput
    )
    return best_of.with_candidates(curve, lengths, steps, blend.reward.timeout_ms / 1e3)


def _spread(blend: BlendConfig, name: str) -> Spread:
    """Engines get conversations by hash; simulated components have no prefix cache."""
    kind = next(c.kind for c in blend.components if c.id == name)
    return "least" if kind == "simulated" else "hash"


def _neighbours(blend: BlendConfig, name: str) -> float:
    """The replicas that compute on a card at once: more than one on a card that is shared.

    That all of them are busy all the time is a bound: the plan is for no fewer replicas than that.
    """
    hardware = blend.hardware[name]
    if hardware.gpu_fraction is None:
        return 1
    group = _group(blend, name)
    fractions = (h.gpu_fraction for i, h in blend.hardware.items() if _group(blend, i) == group)
    ones = [(gpu_shares.hundredths(fraction), 1.0) for fraction in fractions if fraction]
    room = gpu_shares.WHOLE - gpu_shares.hundredths(hardware.gpu_fraction)
    return 1 + gpu_shares.most_on_a_card(ones, room)


def _group(blend: BlendConfig, name: str) -> str:
    """The replica group, which is the component's own where none is named."""
    return blend.hardware[name].replica_group or name


def _gpus(blend: BlendConfig, replicas: Mapping[str, int]) -> int:
    return gpu_shares.gpus(
        (_group(blend, name), blend.hardware[name], count) for name, count in replicas.items()
    )


def _gpu_hours(
    blend: BlendConfig, components: Mapping[str, ComponentPlan | RewardPlan]
) -> dict[str, float]:
    """Hours of whole GPUs over the whole time, by accelerator."""
    found: dict[str, float] = {}
    for accelerator in {c.accelerator for c in components.values()} - {"cpu"}:
        of = {name: c.hourly for name, c in components.items() if c.accelerator == accelerator}
        by_hour = zip(*of.values(), strict=True)
        found[accelerator] = sum(
            _gpus(blend, dict(zip(of, counts, strict=True))) for counts in by_hour
        )
    return found


def _capacity(queue: ComponentQueue, most: int, spare: int) -> tuple[float, ...]:
    listed = min(most, _LISTED + spare)
    return tuple(_rate(queue, count - spare) for count in range(1, listed + 1))


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


def _money(gpu_hours: Mapping[str, float], responses: float, prices: Mapping[str, float]) -> float:
    spent = (hours * prices[accelerator] for accelerator, hours in gpu_hours.items())
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
