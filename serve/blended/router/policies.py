"""The draw by a policy: the probabilities of one request, or the weights where that fails."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from blended import config
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
    clock: Callable[[], float] = time.thread_time,
) -> Inquiry:
    """An inquiry with the distribution that its policy gives it, or by the weights as it was.

    Whatever a policy does, the request is answered. The time-out is looked at between reading the
    words and predicting, of which neither takes long. It is one of the processor's time: what a
    busy machine has made late is no earlier without a policy.
    """
    policy = inquiry.blend.policy_of(inquiry.assignment)
    if policy is None:
        return replace(inquiry, facts=facts)
    found, outcome = _tried(inquiry, policy, facts, spoken, clock)
    on_policy(policy.reference, outcome)
    if found is None:
        return replace(inquiry, facts=facts)
    by = policy.reference
    return replace(inquiry, facts=facts, distribution=found, reserve=found, policy=by)


def expected(inquiry: Inquiry, before: str) -> Inquiry:
    """The inquiry of a turn whose message is not known yet, by the rest of what its policy knows.

    `before` gave the last response, which the policy drew.
    """
    policy = inquiry.blend.policy_of(inquiry.assignment)
    predicting = inquiry.blend.policies[policy] if policy and inquiry.policy else None
    if predicting is None:
        return inquiry
    facts = Facts(inquiry.turn.number, before=before)
    found = _distribution(inquiry, predicting, facts, np.zeros(len(predicting.components)))
    return replace(inquiry, distribution=found, reserve=found)


def _tried(
    inquiry: Inquiry,
    policy: config.Policy,
    facts: Facts,
    spoken: Sequence[str],
    clock: Callable[[], float],
) -> tuple[SelectionDistribution | None, Outcome]:
    """What a policy gives, or why it gives nothing."""
    began, predicting = clock(), inquiry.blend.policies[policy]
    if predicting is None:
        return None, "missing"
    try:
        added = predicting.added(spoken)
        if clock() - began > policy.timeout_ms / 1000:
            return None, "late"
        return _distribution(inquiry, predicting, facts, added), "used"
    except Exception as exc:  # whatever it is, the weights can decide
        logger.error("the policy %s failed", policy.reference, exc_info=exc)
        return None, "failed"


def _distribution(
    inquiry: Inquiry, policy: Policy, facts: Facts, added: Array
) -> SelectionDistribution:
    """A policy's probabilities of the components that have a weight and what is needed."""
    blend, model = inquiry.blend, inquiry.payload["model"]
    weights = models.distribution(blend, model, inquiry.assignment)
    among = [name for name, weight in weights.by_component.items() if weight > 0]
    chances = policy.distribution(facts, added, among)
    whole = SelectionDistribution(
        weights.components, tuple(chances.get(name, 0.0) for name in weights.components)
    )
    able, _ = needs.drawn_among(model, whole, inquiry.needs, blend.upstreams)
    return able
