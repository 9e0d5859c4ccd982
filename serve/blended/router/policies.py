"""The draw by a policy: the probabilities of one request, or the weights where that fails."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from blended.experiments.moments import Array
from blended.learning.features import Facts
from blended.learning.policy import Policy
from blended.router import models, needs
from blended.router.inquiry import Inquiry
from blended.router.selection import SelectionDistribution

logger = logging.getLogger(__name__)

Outcome = Literal["used", "late", "failed", "missing"]
# Called with the policy's name and version, and what came of it.
OnPolicy = Callable[[str, Outcome], None]


def decided(
    inquiry: Inquiry,
    facts: Facts,
    spoken: Sequence[str],
    on_policy: OnPolicy,
    clock: Callable[[], float] = time.perf_counter,
) -> Inquiry:
    """An inquiry with the distribution that its policy gives it, or by the weights as it was.

    Whatever a policy does, the request is answered. The time-out is looked at between reading the
    words and predicting, of which neither takes long.
    """
    began, policy = clock(), inquiry.blend.policy_of(inquiry.assignment)
    inquiry = replace(inquiry, facts=facts)
    if policy is None:
        return inquiry
    predicting = inquiry.blend.policies[policy]
    if predicting is None:
        on_policy(policy.reference, "missing")
        return inquiry
    try:
        added = predicting.added(spoken)
        if clock() - began > policy.timeout_ms / 1000:
            on_policy(policy.reference, "late")
            return inquiry
        drawn = _drawn(inquiry, predicting, facts, added)
    except Exception as exc:  # whatever it is, the weights can decide
        logger.error("the policy %s failed", policy.reference, exc_info=exc)
        on_policy(policy.reference, "failed")
        return inquiry
    on_policy(policy.reference, "used")
    return drawn


def expected(inquiry: Inquiry, before: str) -> Inquiry:
    """The inquiry of a turn whose message is not known yet, by the rest of what a policy knows.

    `before` gave the last response.
    """
    policy = inquiry.blend.policy_of(inquiry.assignment)
    predicting = inquiry.blend.policies[policy] if policy else None
    if predicting is None or inquiry.policy is None:
        return inquiry
    facts = Facts(inquiry.turn.number, before=before)
    return _drawn(inquiry, predicting, facts, np.zeros(len(predicting.components)))


def _drawn(inquiry: Inquiry, policy: Policy, facts: Facts, added: Array) -> Inquiry:
    """The inquiry with the policy's distribution, among the components that have what is needed."""
    blend, model = inquiry.blend, inquiry.payload["model"]
    weights = models.distribution(blend, model, inquiry.assignment)
    among = [name for name, weight in weights.by_component.items() if weight > 0]
    chances = policy.distribution(facts, added, among)
    whole = SelectionDistribution(
        weights.components, tuple(chances.get(name, 0.0) for name in weights.components)
    )
    able, _ = needs.drawn_among(model, whole, inquiry.needs, blend.upstreams)
    return replace(inquiry, distribution=able, reserve=able, policy=policy.reference)
