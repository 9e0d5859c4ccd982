"""The claim: a response of the blend costs what its components' cost, and the price of blending.

Every response of the blend is compared with those of the same component alone, in the same turn, so
that shares are those of the actual draws, and prompts are about as long. The price is the prompt
tokens that the blend computes beyond them, times the component's own seconds per token. These come
from its series with one cache and with several: the same conversations, other caches. Standard
errors are a jackknife's over rounds, in each of which every series has its turn.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from loadtests.studies.blend_cost import theory
from loadtests.studies.blend_cost.series import BLEND, ResponseCost, Round, Series, responses

COST_TOLERANCE = 0.03
PRICE_TOLERANCE = 0.10

Figures = Mapping[str, float]


class NotEnough(ValueError):
    """There are too few responses for a figure."""


@dataclass(frozen=True)
class Setup:
    """The inputs of figures beside the responses.

    Probabilities by component, tokens of a cache's block, and caches of the rotating series.
    """

    weights: Mapping[str, float]
    block: int
    caches: int


@dataclass(frozen=True)
class Verdict:
    """One part of the claim: a ratio that should be 1, how surely it is known, and the tolerance.

    It holds if the ratio is within the tolerance, and its standard error within half of that: more
    noise would decide nothing.
    """

    ratio: float
    standard_error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether this part of the claim is shown."""
        within = abs(self.ratio - 1) <= self.tolerance
        return within and self.standard_error <= self.tolerance / 2


@dataclass(frozen=True)
class PredictedResponse:
    """A response, with theory's figures for its prompt.

    `gap` is the number of turns since its cache was last used (the turn itself if never),
    `predicted` the tokens to compute in whole blocks, `others` the tokens of messages to and from
    the other components in between.
    """

    response: ResponseCost
    gap: int
    predicted: int
    others: float


def verdicts(found: Figures, errors: Figures) -> dict[str, Verdict]:
    """Both parts: engine seconds apart from the price, and the price in tokens over theory's."""
    parts = {"cost_ratio": COST_TOLERANCE, "price_ratio": PRICE_TOLERANCE}
    return {name: Verdict(found[name], errors[name], limit) for name, limit in parts.items()}


def figures(rounds: Sequence[Round], setup: Setup) -> Figures:
    """Engine seconds and prompt tokens per response of the blend, and their expected values.

    Raises:
        NotEnough: a component never answered after another one.
    """
    alone = _by_turn([a for c in setup.weights for a in asked(rounds, Series(c), setup)])
    blend = asked(rounds, BLEND, setup)
    per_token = {c: seconds_per_token(rounds, c, setup.caches) for c in setup.weights}
    pairs = [(a, alone[a.response.component, a.response.turn]) for a in blend]
    blend_s = fmean(a.response.engine_s for a in blend)
    components_s = fmean(_engine_s(same) for _, same in pairs)
    extra = [(a.response.component, a.response.uncached - _uncached(same)) for a, same in pairs]
    price_tokens, price_s = fmean(t for _, t in extra), fmean(per_token[c] * t for c, t in extra)
    blocks = fmean(a.predicted - fmean(b.predicted for b in same) for a, same in pairs)
    plain = fmean(a.others for a in blend)
    return {
        "blend_s": blend_s,
        "components_s": components_s,
        "components_expected_s": sum(
            weight * fmean(_engine_s(same) for (c, _), same in alone.items() if c == component)
            for component, weight in setup.weights.items()
        ),
        "price_s": price_s,
        "cost_ratio": (blend_s - price_s) / components_s,
        "price_tokens": price_tokens,
        "price_tokens_in_blocks": blocks,
        "price_tokens_plain": plain,
        "price_tokens_expected": _expected(blend, setup),
        "price_ratio": price_tokens / blocks,
        "price_ratio_plain": price_tokens / plain,
    }


def asked(rounds: Sequence[Round], series: Series, setup: Setup) -> list[PredictedResponse]:
    """The responses of a series, each with theory's figures."""
    starts, growths = _alone(rounds, setup.weights)
    found = []
    for conversation in (talk for one in rounds for talk in one[series]):
        keys = [f"{r.component} {r.turn % series.caches}" for r in conversation]
        for response, last in zip(conversation, theory.last_turns(keys), strict=True):
            earlier = None if last is None else conversation[last - 1].prompt
            component = response.component
            known = starts[component] if earlier is None else earlier + growths[component]
            found.append(
                PredictedResponse(
                    response,
                    response.turn - (last or 0),
                    theory.uncached(response.prompt, earlier, response.tokens, setup.block),
                    response.prompt - known,
                )
            )
    return found


def seconds_per_token(rounds: Sequence[Round], component: str, caches: int) -> float:
    """Engine seconds that one more uncached prompt token takes in a component alone."""
    one, several = (responses(rounds, Series(component, n)) for n in (1, caches))
    seconds = fmean(r.engine_s for r in several) - fmean(r.engine_s for r in one)
    return seconds / (fmean(r.uncached for r in several) - fmean(r.uncached for r in one))


def standard_errors(
    rounds: Sequence[Round], of: Callable[[Sequence[Round]], Figures]
) -> dict[str, float]:
    """The jackknife's (Efron and Stein 1981): from the figures without each of the rounds."""
    n = len(rounds)
    without = [of([*rounds[:i], *rounds[i + 1 :]]) for i in range(n)]
    errors = {}
    for name in without[0]:
        values = [found[name] for found in without]
        mean = fmean(values)
        errors[name] = math.sqrt((n - 1) / n * sum((value - mean) ** 2 for value in values))
    return errors


def tokens_per_turn(blend: Sequence[PredictedResponse], component: str) -> float:
    """U+R: what a turn that another component answered adds to this one's prompts.

    Raises:
        NotEnough: it never answered after another one.
    """
    mine = [a for a in blend if a.response.component == component and a.gap > 1]
    if not mine:
        raise NotEnough(f"Component '{component}' never answered after another: ask more rounds.")
    return sum(a.others for a in mine) / sum(a.gap - 1 for a in mine)


def _expected(blend: Sequence[PredictedResponse], setup: Setup) -> float:
    per_turn = [tokens_per_turn(blend, component) for component in setup.weights]
    weights = list(setup.weights.values())
    return fmean(theory.expected_price(weights, a.response.turn, per_turn) for a in blend)


def _alone(
    rounds: Sequence[Round], components: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """By component alone: its first prompt, and what a turn adds to a prompt."""
    starts, growths = {}, {}
    for component in components:
        talks = [talk for one in rounds for talk in one[Series(component)]]
        starts[component] = fmean(talk[0].prompt for talk in talks)
        grown = fmean(talk[-1].prompt - talk[0].prompt for talk in talks)
        growths[component] = grown / (len(talks[0]) - 1)
    return starts, growths


def _by_turn(alone: Sequence[PredictedResponse]) -> dict[tuple[str, int], list[PredictedResponse]]:
    found = defaultdict[tuple[str, int], list[PredictedResponse]](list)
    for one in alone:
        found[one.response.component, one.response.turn].append(one)
    return dict(found)


def _engine_s(same: Sequence[PredictedResponse]) -> float:
    return fmean(a.response.engine_s for a in same)


def _uncached(same: Sequence[PredictedResponse]) -> float:
    return fmean(a.response.uncached for a in same)
