"""Whether a policy is worth more than the best mix that is the same for all requests."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from blended.errors import ConfigError, NotEnoughData
from blended.experiments.moments import Array
from blended.experiments.statistics import ALPHA
from blended.learning import features
from blended.learning.estimates import FEWEST_USERS, Value
from blended.learning.fit import POLICY, judged, predictions
from blended.learning.policy import Policy
from blended.learning.policy_rows import Rows

STATIC, UNIFORM = "best mix", "uniform"


@dataclass(frozen=True)
class Evaluation:
    """Values on users whom the policy has not met.

    `static` is the mix that gives the best component all that the floor leaves, and `gain` what the
    policy is worth beyond it. `shares` are its mean probabilities. `agreement` is how often a draw
    before the message is known, as look-ahead makes it, names the component that answers.
    """

    policy: Policy
    users: int
    responses: int
    texts: int
    values: dict[str, tuple[Value, Value]]
    gain: Value
    mean_weight: Value
    mean_square: float
    static: dict[str, float]
    shares: dict[str, float]
    agreement: float

    @property
    def refusals(self) -> list[str]:
        """Why it should not be promoted, in sentences."""
        found = list[str]()
        low, high = self.mean_weight.interval()
        if not low <= 1 <= high:
            found.append(
                f"The mean weight is {self.mean_weight.value:.3f}, and its interval leaves out 1: "
                "the journal's probabilities are not those of the draws."
            )
        if self.gain.interval()[0] <= 0:
            found.append(
                "It is not shown to be worth more than the best mix that is the same for all "
                "requests."
            )
        return found


def evaluated(policy: Policy, rows: Rows) -> Evaluation:
    """Judge a policy by the users whom it has not met.

    Raises:
        ConfigError: the journal draws among other components.
        NotEnoughData: there are too few users.
    """
    if set(policy.components) != set(rows.components):
        raise ConfigError(
            f"The policy '{policy.reference}' draws among {', '.join(policy.components)}, the "
            f"journal among {', '.join(rows.components)}; fit it again."
        )
    held = rows.held_out()
    if len(held.users) < FEWEST_USERS:
        raise NotEnoughData(
            f"{len(held.users)} users were held out, and {FEWEST_USERS} are needed at least."
        )
    m, n = held.logged.shape
    static = best_mix(policy, rows.met())
    found = judged(policy, held, {STATIC: np.tile(static, (m, 1)), UNIFORM: np.full((m, n), 1 / n)})
    return Evaluation(
        policy=policy,
        users=len(held.users),
        responses=m,
        texts=held.texts,
        values={
            name: (found.snips(name), found.doubly_robust(name))
            for name in (POLICY, STATIC, UNIFORM)
        },
        gain=found.gain(POLICY, STATIC),
        mean_weight=found.mean_weight(POLICY),
        mean_square=found.mean_square(POLICY),
        static=dict(zip(rows.components, static.tolist(), strict=True)),
        shares=dict(zip(rows.components, _shares(policy, held).tolist(), strict=True)),
        agreement=agreement(policy, held),
    )


def best_mix(policy: Policy, met: Rows) -> Array:
    """The best component by SNIPS on users that are not held out, with the policy's floor, (N,)."""
    weight, reward = 1 / met.propensity, met.rewards[policy.reward]
    n = len(met.components)
    value = np.bincount(met.drawn, weight * reward, n) / np.bincount(met.drawn, weight, n)
    mix = np.full(n, policy.floor)
    mix[int(np.argmax(value))] = 1 - (n - 1) * policy.floor
    return mix


def _shares(policy: Policy, rows: Rows) -> Array:
    found: Array = policy.probabilities(predictions(policy, rows)).mean(axis=0)
    return found


def agreement(policy: Policy, rows: Rows) -> float:
    """How often the same number draws the same component before and after the message is known."""
    added = np.zeros(rows.logged.shape)
    known = features.before_message(rows.facts, rows.components)
    blind = policy.probabilities(policy.rewards(known, added))
    seeing = policy.probabilities(predictions(policy, rows))
    ends, others = np.cumsum(blind, axis=1), np.cumsum(seeing, axis=1)
    begins, other_begins = ends - blind, others - seeing
    overlap = np.minimum(ends, others) - np.maximum(begins, other_begins)
    return float(np.clip(overlap, 0, None).sum(axis=1).mean())


def document(found: Evaluation) -> dict[str, Any]:
    """The evaluation as JSON's types."""
    return {
        "policy": found.policy.reference,
        "reward": found.policy.reward,
        "floor": found.policy.floor,
        "users": found.users,
        "responses": found.responses,
        "texts": found.texts,
        "interval": "always valid",
        "level": 1 - ALPHA,
        "values": {
            name: {"snips": _number(snips), "doubly_robust": _number(robust)}
            for name, (snips, robust) in found.values.items()
        },
        "best_mix": found.static,
        "shares": found.shares,
        "gain": _number(found.gain),
        "mean_weight": _number(found.mean_weight),
        "mean_square_of_weights": found.mean_square,
        "agreement_before_message": found.agreement,
        "refusals": found.refusals,
    }


def _number(value: Value) -> dict[str, float]:
    low, high = value.interval()
    return {"value": value.value, "low": low, "high": high, "effective_users": value.effective}
