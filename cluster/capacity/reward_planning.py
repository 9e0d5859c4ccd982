"""The replicas of the reward model, for the responses that have several candidates: pure functions.

Its requests are short, and none may wait for long: a replica is busy for 60 % of the time at most.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blended.config import BlendConfig

_BUSY = 0.6
# Beyond so many replicas another one adds about what the last one did, as autoscaling assumes.
_LISTED = 100


@dataclass(frozen=True)
class RewardPlan:
    """What the reward model needs: `rate` are the responses of several candidates at the peak.

    The other fields are those of a component's plan; without such responses there is no capacity.
    """

    rate: float
    min_replicas: int
    max_replicas: int
    capacity: tuple[float, ...]
    gpus: float
    accelerator: str
    hourly: tuple[int, ...]


def plan(
    blend: BlendConfig,
    share: Mapping[str, float],
    rates: Sequence[float],
    spare: int,
    seconds: float,
) -> RewardPlan | None:
    """The plan of a blend's reward model, by the shares of its components; None without one.

    `rates` are responses of the blend per second, `seconds` those of a replica that the candidates
    of one response take; `spare` replicas may be lost.
    """
    if blend.reward is None:
        return None
    part = math.fsum(share[c.id] for c in blend.components if blend.best_of(c) is not None)
    counts = [max(1, math.ceil(part * rate * seconds / _BUSY)) for rate in rates]
    most, hardware = max(counts) + spare, blend.reward.hardware
    return RewardPlan(
        rate=part * max(rates),
        min_replicas=min(counts) + spare,
        max_replicas=most,
        capacity=_capacity(most, spare, seconds) if seconds else (),
        gpus=round(hardware.gpus * most, 2),
        accelerator=hardware.accelerator,
        hourly=tuple(count + spare for count in counts),
    )


def _capacity(most: int, spare: int, seconds: float) -> tuple[float, ...]:
    listed = range(1, min(most, _LISTED + spare) + 1)
    return tuple(round(max(0, count - spare) * _BUSY / seconds, 3) for count in listed)
