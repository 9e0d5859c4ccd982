"""Autoscaling that knows the blend: policies for the `autoscaling_config` of a Serve config.

A component with a capacity in its replica settings is scaled by what it has to expect: the rate at
which requests arrive at the routers, times its weight. That is known before a queue grows, for all
components at once, and in the second in which weights change. What is under way counts beside it
only where it is far more than planned: then the capacity promises too much. Any other component,
and one of which nothing is known for some seconds (the controller has restarted, the routers are
gone), is scaled by Ray's own policy alone: by the requests that are under way.

Ray applies the bounds and delays to what a policy asks for. Everything here is called in the loop
of Serve's controller, several times a second for each deployment, and waits for nothing.
"""

import math
from collections.abc import Sequence
from typing import Any

from ray.serve.autoscaling_policy import replica_queue_length_autoscaling_policy
from ray.serve.config import AutoscalingContext

from blended.autoscaling import rate_board
from blended.autoscaling.rate_board import Expected, summed

_HIGHEST = "highest"
# So many standard deviations tell a rush from chance, which is as far off once in 15,000 windows of
# a hundred requests, and once in 3,000 of ten (Poisson): that costs a replica for a while.
_RUSH = 4.0
# So many tell replicas that are too full. More than that a single one may never have: it refuses.
_FULL = 3.0


def router_policy(ctx: AutoscalingContext) -> tuple[int | float, dict[str, Any]]:
    """Scale the router as Ray does; what its replicas have recorded is left for the components."""
    rate_board.BOARD.leave(summed(ctx.raw_metrics or {}, _now(ctx)))
    return replica_queue_length_autoscaling_policy(ctx)


class ComponentPolicy:
    """Scales one component by what it has to expect, as long as that is known."""

    def __init__(self, component: str) -> None:
        self._component = component

    def __call__(self, ctx: AutoscalingContext) -> tuple[int | float, dict[str, Any]]:
        """The replicas that Ray shall aim at, and what to remember until the next call."""
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
    """The responses per second to be ready for: those of the longest window, or of a rush.

    The count of a window has a variance that is its mean (Poisson). A component's share of a count
    has less, so that chance is taken for a rush even less often.
    """
    recent_s = min(known.rates)
    recent, steady = known.rates[recent_s], known.rates[max(known.rates)]
    chance = math.sqrt(max(steady, 1 / recent_s) / recent_s)
    return recent if recent - steady > _RUSH * chance else steady


def replicas(rate: float, capacity: Sequence[float]) -> int:
    """The fewest replicas that answer such a rate well; what is beyond the capacity's end adds up.

    Each replica beyond it is taken to add as much as the last one in it.
    """
    within = (count for count, most in enumerate(capacity, 1) if most >= rate)
    if (count := next(within, None)) is not None:
        return count
    last = capacity[-1] - (capacity[-2] if len(capacity) > 1 else 0.0)
    return len(capacity) + math.ceil((rate - capacity[-1]) / last)


def overfull(ongoing: float, running: int, target: float) -> int:
    """The replicas that Ray would want for what is under way; 0 where chance explains that.

    What is under way as planned, `target` at each replica, varies by about its own mean.
    """
    planned = target * running
    if ongoing - planned <= _FULL * math.sqrt(planned):
        return 0
    return math.ceil(ongoing / target)


def settled(needed: int, target: int, highest: int) -> tuple[int, int]:
    """What to aim at, and the highest number needed since it has been below the target.

    Ray waits until it has been below for `downscale_delay_s`, and then takes the number of that
    moment; the highest of that time is what was really needed, so that the next moment does not
    have to take it back.
    """
    if needed >= target:
        return needed, 0
    since = needed if highest >= target else max(needed, highest)
    return since, since


def _now(ctx: AutoscalingContext) -> float:
    assert ctx.current_time is not None, "Serve says when it asks"
    return ctx.current_time
