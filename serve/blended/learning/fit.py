"""Fits a policy to the journal's draws: a logistic head for each component.

A head predicts the reward from the responses for which its component was drawn, each weighted by 1
over the probability of that draw. How strongly weights are held back, and how sharply the policy
follows the predictions, is chosen by users whom the heads have not met: the largest lower end of
the doubly robust value among the policies that take no component too often.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import optimize, sparse

from blended.errors import ConfigError, NotEnoughData
from blended.experiments.moments import Array
from blended.learning.estimates import FEWEST_USERS
from blended.learning.policy import Policy, rounded
from blended.learning.policy_rows import Rows
from blended.learning.policy_values import Valued, valued
from blended.learning.rewards import YES_OR_NO

POLICY = "policy"
# The mean squared weight of a policy, by which the variance of its value grows.
MOST_SQUARE = 1.5
_PENALTIES = (1.0, 10.0, 100.0, 1000.0)
_TEMPERATURES = tuple(float(t) for t in np.geomspace(0.002, 2, 50))


def fit(rows: Rows, name: str, reward: str, floor: float) -> Policy:
    """The policy that is chosen; `floor` is the least probability of each of N components.

    Raises:
        ConfigError: the floor leaves nothing to decide, or there is no such reward.
        NotEnoughData: a component was drawn for too few users.
    """
    if reward not in YES_OR_NO:
        raise ConfigError(f"There is no reward '{reward}' to predict; take {_listed(YES_OR_NO)}.")
    if not 0 < floor * len(rows.components) < 1:
        raise ConfigError(
            f"A floor of {floor:g} for each of {len(rows.components)} components leaves nothing to "
            f"decide; give more than 0 and less than {1 / len(rows.components):.3g}."
        )
    train, choose = rows.train(), rows.choose()
    _check(train)
    _check(choose)
    policies = [
        replace(headed, temperature=temperature)
        for headed in _headed(train, name, reward, floor)
        for temperature in _TEMPERATURES
    ]
    return max(policies, key=lambda policy: _merit(policy, choose))


def judged(policy: Policy, rows: Rows, others: dict[str, Array]) -> Valued:
    """The value of a policy, as POLICY, and of other probabilities (m, N) beside it.

    Its heads predict the rewards.
    """
    predicted = predictions(policy, rows)
    chances = {POLICY: policy.probabilities(predicted), **others}
    reward = rows.rewards[policy.reward]
    return valued(rows.user, rows.drawn, rows.propensity, reward, predicted, chances)


def predictions(policy: Policy, rows: Rows) -> Array:
    """What a policy predicts of each response and component, shape (m, N)."""
    added = np.zeros(rows.logged.shape) if policy.words is None else rows.words @ policy.words
    return policy.rewards(rows.facts, added)


def _headed(train: Rows, name: str, reward: str, floor: float) -> Iterator[Policy]:
    """A policy for each penalty, of any temperature."""
    known = sparse.csr_array(train.facts)
    features = sparse.hstack([known, train.words], format="csr") if train.texts else known
    fitted = {
        "responses": len(train.drawn),
        "users": len(train.users),
        "texts": train.texts,
    }
    for penalty in _PENALTIES:
        heads = np.array(
            [
                _head(features, train, reward, place, penalty)
                for place in range(len(train.components))
            ]
        )
        width = train.facts.shape[1]
        yield Policy(
            name=name,
            components=train.components,
            reward=reward,
            floor=floor,
            temperature=1.0,
            facts=rounded(heads[:, :width]),
            words=rounded(heads[:, width:].T) if train.texts else None,
            fitted={**fitted, "penalty": penalty},
        )


def _head(
    features: sparse.csr_array, train: Rows, reward: str, place: int, penalty: float
) -> Array:
    """The coefficients of one component's head."""
    its = np.flatnonzero(train.drawn == place)
    x, y = features[its], train.rewards[reward][its]
    weight = 1 / train.propensity[its]
    weight = weight / weight.mean()
    held = np.full(x.shape[1], penalty)
    held[0] = 0  # the mean is held by nothing

    def loss(at: Array) -> tuple[float, Array]:
        score = x @ at
        likely = weight @ (np.logaddexp(0, score) - y * score)
        slope = x.T @ (weight * (1 / (1 + np.exp(-score)) - y))
        return float(likely + held @ at**2 / 2), slope + held * at

    start = np.zeros(x.shape[1])
    found: Array = optimize.minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found


def _merit(policy: Policy, rows: Rows) -> float:
    """The lower end of the value; policies that take a component too often come last."""
    found = judged(policy, rows, {})
    excess = found.mean_square(POLICY) - MOST_SQUARE
    if excess > 0:
        return -excess
    low, _ = found.doubly_robust(POLICY).interval(always_valid=False)
    return 1 + low


def _check(rows: Rows) -> None:
    for place, component in enumerate(rows.components):
        users = len(np.unique(rows.user[rows.drawn == place]))
        if users < FEWEST_USERS:
            raise NotEnoughData(
                f"'{component}' was drawn for {users} of the {len(rows.users)} users of a part of "
                f"the journal, and a policy needs {FEWEST_USERS} for each component."
            )


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
