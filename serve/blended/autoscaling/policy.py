"""Autoscaling that knows the blend: policies for the `autoscaling_config` of a Serve config.

A component with a capacity in its replica settings is scaled by its expected rate: the rate at
which requests arrive at the routers, times its weight. This rate is known before a queue grows, for
all components at once, and within the second in which weights change. Ongoing requests count only
if they are far more than planned: then the capacity is too optimistic. Any other component is
scaled by Ray's own policy, by its ongoing requests. So is a component whose rate is unknown for
some seconds (the controller has restarted, or the routers are gone).

Ray applies its bounds and delays to a policy's decision. The loop of Serve's controller calls
everything here several times per second for each deployment, so nothing here may block.
"""

import math
from collections.abc import Sequence
from typing import Any

from ray.serve.autoscaling_policy import replica_queue_length_autoscaling_policy
from ray.serve.config import AutoscalingContext

from blended.autoscaling import rate_board
from blended.autoscaling.rate_board import Expected, summed

_HIGHEST = "highest"
# A rush is a count this many standard deviations above the mean. By chance that happens in one of
# 15,000 windows of a hundred requests, and one of 3,000 of ten (Poisson): it costs a replica for a
# while.
_RUSH = 4.0
# This many standard deviations tell replicas that are too full. A single replica may never reach a
# higher limit, because it refuses requests before.
_FULL = 3.0


def router_policy(ctx: AutoscalingContext) -> tuple[int | float, dict[str, Any]]:
    """Scale the router as Ray does, and keep the records of its replicas for the components."""
    rate_board.BOARD.leave(summed(ctx.raw_metrics or {}, _now(ctx)))
    return replica_queue_length_autoscaling_policy(ctx)


class ComponentPolicy:
    """Scales one component by its expected rate, as long as the rate is known."""

    def __init__(self, component: str) -> None:
        self._component = component

    def __call__(self, ctx: AutoscalingContext) -> tuple[int | float, dict[str, Any]]:
        """The target number of replicas for Ray, and the state for the next call."""
        known = rate_board.BOARD.read(self._component, _now(ctx))
        if known is None:
            return replica_queue_length_autoscaling_policy(ctx)
        assert ctx.config is not None, "Serve says how it is configured"
        target = ctx.config.get_target_ongoing_requests()
        full = overfull(ctx.total_num_requests, ctx.current_num_replicas, target)
        needed = max(full, replicas(rate(known), known.capacity))
        low, high = ctx.capacity_adjusted_min_replicas, ctx.capacity_adjusted_max_replicas
        needed = max(low, min(high, needed))
        highest = ctx.policy_state.get(_HIGHEST, 0)
        aim, highest = settled(needed, ctx.target_num_replicas, highest)
        return aim, {_HIGHEST: highest}


def rate(known: Expected) -> float:
    """The responses per second to prepare for: those of the longest window, or of a rush.

    The count of a window has a variance that is its mean (Poisson). A component's share of a count
    has less, so that chance is taken for a rush even less often.
    """
    recent_s = min(known.rates)
    recent, steady = known.rates[recent_s], known.rates[max(known.rates)]
    chance = math.sqrt(max(steady, 1 / recent_s) / recent_s)
    return recent if recent - steady > _RUSH * chance else steady


def replicas(rate: float, capacity: Sequence[float]) -> int:
    """The fewest replicas that answer a rate in time, also beyond the end of the capacity.

    Each replica beyond the end is assumed to add as much as the last one in the capacity.
    """
    within = (count for count, most in enumerate(capacity, 1) if most >= rate)
    if (count := next(within, None)) is not None:
        return count
    last = capacity[-1] - (capacity[-2] if len(capacity) > 1 else 0.0)
    return len(capacity) + math.ceil((rate - capacity[-1]) / last)


def overfull(ongoing: float, running: int, target: float) -> int:
    """The replicas that Ray would want for the ongoing requests; 0 if chance explains their number.

    The variance of the planned ongoing requests, `target` per replica, is about their mean.
    """
    planned = target * running
    if ongoing - planned <= _FULL * math.sqrt(planned):
        return 0
    return math.ceil(ongoing / target)


def settled(needed: int, target: int, highest: int) -> tuple[int, int]:
    """The number to aim at, and the highest number needed since it has been below the target.

    Ray waits until the number has been below the target for `downscale_delay_s`, and then takes the
    number of that moment. The highest number of that time was really needed, so that Ray does not
    have to scale up again in the next moment.
    """
    if needed >= target:
        return needed, 0
    since = needed if highest >= target else max(needed, highest)
    return since, since


def _now(ctx: AutoscalingContext) -> float:
    assert ctx.current_time is not None, "Serve says when it asks"
    return ctx.current_time
