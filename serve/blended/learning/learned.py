"""What the draws in a journal tell about mixes of components: every number of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from blended.errors import ConfigError, NotEnoughData
from blended.learning.decisions import Decisions
from blended.learning.drawing import (
    Drawing,
    Mix,
    weight_of_answer,
    weight_of_draw,
    weight_of_first_draw,
)
from blended.learning.estimates import FEWEST_USERS, Value, combined, difference
from blended.learning.gradient import FirstDays, Gradient, gradients
from blended.learning.handoffs import Handoffs, handoffs
from blended.learning.ope import Evaluated, evaluate, single
from blended.learning.rewards import COST, REWARDS, SUMS
from blended.learning.surrogates import Agreement, agreement

AS_DRAWN = "as drawn"
_REWARDS = tuple(reward.name for reward in REWARDS)


@dataclass(frozen=True)
class MixValue:
    """A mix: each reward by SNIPS, doubly robust, and as the gain over what was drawn.

    Responses count that the mix could have answered, also for the gain.
    `cost` are engine seconds per response. `mean_weight` is that of the first draws, 1 by design.
    With too few `effective` users there are no values.
    """

    name: str
    shares: Mapping[str, float]
    snips: Mapping[str, Value]
    robust: Mapping[str, Value]
    gain: Mapping[str, Value]
    cost: Value
    mean_weight: Value
    effective: float

    @property
    def is_known(self) -> bool:
        """Whether there are enough users behind it."""
        return self.effective >= FEWEST_USERS


@dataclass(frozen=True)
class Learned:
    """What the report shows; `shares` are how often each component was to be drawn on average.

    `as_drawn` are the rewards of the responses as they were.
    """

    components: tuple[str, ...]
    shares: Mapping[str, float]
    users: int
    responses: int
    left_out: Mapping[str, int]
    as_drawn: Mapping[str, Value]
    mixes: tuple[MixValue, ...]
    gradients: tuple[Gradient, ...]
    surrogates: tuple[Agreement, ...]
    handoffs: tuple[Handoffs, ...]


def learn(
    decisions: Decisions,
    first: FirstDays,
    mixes: Mapping[str, Mix],
    gpus: Mapping[str, float] | None = None,
) -> Learned:
    """Everything from the decisions and the first days of users.

    `mixes` are looked at beside the uniform one and each component alone. `gpus` are those of one
    replica of a component, or its share of one; a component that has none counts as one.

    Raises:
        NotEnoughData: no response was drawn among several components and answered.
        ConfigError: a mix names a component that was never drawn.
    """
    if not decisions.responses():
        raise NotEnoughData(
            "No response of a named user was drawn among several components more than a day ago."
        )
    names = decisions.components
    for name, mix in mixes.items():
        if unknown := mix.keys() - set(names):
            raise ConfigError(
                f"The mix '{name}' has '{min(unknown)}', which was never drawn; those that were: "
                f"{', '.join(names)}."
            )
    answered, left_out = answered_only(decisions)
    if not answered.responses():
        raise NotEnoughData(
            f"Of {decisions.responses():,} responses that were drawn no component answered "
            f"{left_out['unanswered']:,}, and {left_out['unknown']:,} are of earlier versions, "
            "whose records do not tell which components could be drawn. Wait for new ones."
        )
    wanted = {**default_mixes(names), **mixes}
    evaluated = evaluate(
        priced(answered, gpus or {}),
        {AS_DRAWN: {}, **wanted},
        [*_REWARDS, COST.name],
        _weight,
        robust=True,
    )
    drawn = evaluate(decisions, wanted, [], weight_of_first_draw)
    found = gradients(first)
    return Learned(
        components=names,
        shares=mean_shares(answered),
        users=answered.users,
        responses=answered.responses(),
        left_out={**decisions.left_out, **left_out},
        as_drawn={reward: evaluated.snips(AS_DRAWN, reward) for reward in _REWARDS},
        mixes=tuple(_mix(evaluated, drawn, name, mix) for name, mix in wanted.items()),
        gradients=tuple(found),
        surrogates=tuple(_surrogates(decisions, found)),
        handoffs=tuple(handoffs(answered, _REWARDS)),
    )


def default_mixes(components: Sequence[str]) -> dict[str, Mix]:
    """The uniform mix, and each component alone."""
    alone = {f"{name} alone": mix for name, mix in single(components).items()}
    return {"uniform": dict.fromkeys(components, 1 / len(components)), **alone}


def answered_only(decisions: Decisions) -> tuple[Decisions, dict[str, int]]:
    """Those that another mix's draw can be weighed of, and how many are not, by reason."""
    unanswered = decisions.of(lambda drawing: drawing.component is None)
    unknown = decisions.of(lambda d: d.component is not None and d.left is None)
    left_out = {"unanswered": unanswered.responses(), "unknown": unknown.responses()}
    return decisions.of(lambda drawing: drawing.left is not None), left_out


def mean_shares(decisions: Decisions) -> dict[str, float]:
    """The mean of the probabilities by which the responses were drawn."""
    counted = np.bincount(decisions.drawing, decisions.column("responses"), len(decisions.drawings))
    return {
        name: sum(
            float(n) * drawing.probabilities.get(name, 0.0)
            for n, drawing in zip(counted, decisions.drawings, strict=True)
        )
        / float(counted.sum())
        for name in decisions.components
    }


def priced(decisions: Decisions, gpus: Mapping[str, float]) -> Decisions:
    """With engine seconds times the GPUs of a replica of the component that answered."""
    factors = np.array([gpus.get(d.component or "", 1.0) for d in decisions.drawings])
    sums = decisions.sums.copy()
    sums[:, SUMS.index(COST.name)] *= factors[decisions.drawing]
    return replace(decisions, sums=sums)


def _weight(drawing: Drawing, mix: Mix) -> float | None:
    """1 for what was drawn."""
    return weight_of_answer(drawing, mix) if mix else 1.0


def _mix(evaluated: Evaluated, drawn: Evaluated, name: str, mix: Mix) -> MixValue:
    weight = evaluated.mean_weight(name)
    rewards = _REWARDS if weight.is_known else ()
    snips = {reward: evaluated.snips(name, reward) for reward in rewards}
    return MixValue(
        name=name,
        shares=mix,
        snips=snips,
        robust={reward: evaluated.doubly_robust(name, reward) for reward in rewards},
        gain={
            reward: difference(evaluated.moments, value, evaluated.as_drawn(name, reward))
            for reward, value in snips.items()
        },
        cost=evaluated.snips(name, COST.name),
        mean_weight=drawn.mean_weight(name),
        effective=weight.effective,
    )


def _surrogates(decisions: Decisions, found: Sequence[Gradient]) -> list[Agreement]:
    """How well the direction of each short reward agrees with each gradient, by the first draw."""
    names = decisions.components
    whole = decisions.of(lambda drawing: set(names) <= drawing.probabilities.keys())
    evaluated = evaluate(whole, single(names), _REWARDS, weight_of_draw)
    if not all(evaluated.mean_weight(name).is_known for name in names):
        return []
    shares = mean_shares(whole)
    directions = {
        reward: {name: _toward(evaluated, name, reward, shares) for name in names}
        for reward in _REWARDS
    }
    return [agreement(reward, toward, g) for reward, toward in directions.items() for g in found]


def _toward(evaluated: Evaluated, name: str, reward: str, shares: Mapping[str, float]) -> Value:
    """A component's reward beside the mean over the components as they were drawn."""
    values = {other: evaluated.snips(other, reward) for other in shares}
    parts = [((other == name) - share, values[other]) for other, share in shares.items()]
    return combined(evaluated.moments, parts)
