"""What a response of a blend costs: the arithmetic, held against enumeration and simulation."""

import itertools
import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

import pytest

from blended.config.loading import load
from loadtests.studies.blend_cost import claim, flops, report, theory
from loadtests.studies.blend_cost.claim import NotEnough, Setup, Verdict
from loadtests.studies.blend_cost.report import Models
from loadtests.studies.blend_cost.series import (
    BLEND,
    ResponseCost,
    Round,
    Series,
    gathered,
    groups_of,
    responses,
)

RESULT = Path(__file__).parents[2] / "loadtests" / "results" / "cost.json"
USER, RESPONSE, BLOCK, TURNS, AT_ONCE = 21, 32, 32, 8, 2
BASE_S = {"a": 0.2, "b": 0.3, "c": 0.5}
TOKEN_S = {"a": 1e-4, "b": 2e-4, "c": 5e-4}
WEIGHTS = {"a": 0.5, "b": 0.3, "c": 0.2}
SETUP = Setup(WEIGHTS, BLOCK, len(WEIGHTS))


@dataclass
class SimulatedGroup:
    """Conversations that were held at once."""

    series: Series
    conversations: list[list[ResponseCost]]


class Cache:
    """A prefix cache that knows tokens, not lengths: the beginnings it holds, in whole blocks."""

    def __init__(self) -> None:
        self._held = set[tuple[int, ...]]()

    def cached(self, prompt: Sequence[int], response: Sequence[int]) -> int:
        """How many tokens of the prompt it holds; afterwards it holds all that was computed."""
        ends = range(BLOCK, len(prompt), BLOCK)  # the last token is always computed
        hits = list(itertools.takewhile(lambda end: tuple(prompt[:end]) in self._held, ends))
        computed = [*prompt, *response[:-1]]
        self._held |= {tuple(computed[:e]) for e in range(BLOCK, len(computed) + 1, BLOCK)}
        return hits[-1] if hits else 0


def conversation(
    rng: random.Random, caches: Sequence[str], drawn: Sequence[str]
) -> list[ResponseCost]:
    """A conversation of random tokens, its turns answered by `drawn` from the caches named."""
    history, found, known = list[int](), list[ResponseCost](), defaultdict[str, Cache](Cache)
    for turn, (name, component) in enumerate(zip(caches, drawn, strict=True), 1):
        history = history + rng.choices(range(1000), k=USER)
        words = rng.choices(range(1000), k=RESPONSE)
        cached = known[name].cached(history, words)
        uncached = len(history) - cached
        seconds = BASE_S[component] + TOKEN_S[component] * uncached
        found.append(ResponseCost(component, turn, len(history), cached, RESPONSE, seconds))
        history = history + words
    return found


def measured(rounds: int, weights: Mapping[str, float] = WEIGHTS, seed: int = 1) -> list[Round]:
    """Rounds in which engine seconds are linear in the tokens that have to be computed."""
    rng = random.Random(seed)

    def group(series: Series) -> SimulatedGroup:
        drawn = [series.component] * TURNS if series.component else []
        drawn = drawn or rng.choices(list(weights), list(weights.values()), k=TURNS)
        caches = [f"{name} {turn % series.caches}" for turn, name in enumerate(drawn)]
        return SimulatedGroup(series, [conversation(rng, caches, drawn) for _ in range(AT_ONCE)])

    groups = groups_of(list(weights))
    return [gathered(map(group, rng.sample(groups, len(groups)))) for _ in range(rounds)]


def dearer(rounds: Sequence[Round], factor: float) -> list[Round]:
    """The same, with a blend whose responses take more."""
    return changed(rounds, lambda r: replace(r, engine_s=factor * r.engine_s))


def changed(rounds: Sequence[Round], change: Callable[[ResponseCost], ResponseCost]) -> list[Round]:
    """The same, with another blend."""
    return [{**one, BLEND: [list(map(change, talk)) for talk in one[BLEND]]} for one in rounds]


@pytest.mark.parametrize("seed", range(20))
def test_whole_blocks_are_those_of_a_cache_that_knows_tokens(seed: int) -> None:
    """The formula knows lengths and draws alone, the simulated caches know every token."""
    rng = random.Random(seed)
    drawn = rng.choices("abc", k=20)

    found = conversation(rng, drawn, drawn)

    for response, last in zip(found, theory.last_turns(drawn), strict=True):
        earlier = None if last is None else found[last - 1].prompt
        predicted = theory.uncached(response.prompt, earlier, RESPONSE, BLOCK)
        assert predicted == response.uncached


def test_a_prompts_last_token_is_computed_whatever_the_cache_holds() -> None:
    """A prompt that the cache knows to its end costs its last block."""
    assert theory.uncached(prompt=64, earlier=40, response=32, block=32) == 32


@pytest.mark.parametrize("turn", [1, 2, 5, 7])
def test_expected_gaps_are_those_of_all_possible_draws(turn: int) -> None:
    """The closed form against every sequence of draws, weighted by its probability."""
    gaps = dict.fromkeys(WEIGHTS, 0.0)
    for drawn in itertools.product(WEIGHTS, repeat=turn):
        probability = 1.0
        for component in drawn:
            probability *= WEIGHTS[component]
        gaps[drawn[-1]] += probability * (turn - (theory.last_turns(drawn)[-1] or 0))

    for component, weight in WEIGHTS.items():
        assert gaps[component] / weight == pytest.approx(theory.expected_gap(weight, turn))


@pytest.mark.parametrize("weights", [(1 / 3, 1 / 3, 1 / 3), (0.7, 0.2, 0.1)])
def test_the_price_of_a_long_conversation_is_that_of_all_others_turns(
    weights: tuple[float, ...],
) -> None:
    """It tends to (N-1)·(U+R), whatever the weights."""
    price = theory.expected_price(weights, turn=1000, per_turn=[USER + RESPONSE] * 3)

    assert price == pytest.approx(2 * (USER + RESPONSE))


def test_costs_that_are_linear_in_tokens_are_found_exactly() -> None:
    """Then nothing is left of the blend's cost beside its components' and the price."""
    rounds = measured(8)

    found = claim.figures(rounds, SETUP)

    for component, seconds in TOKEN_S.items():
        assert claim.seconds_per_token(rounds, component, 3) == pytest.approx(seconds)
    assert found["cost_ratio"] == pytest.approx(1)
    assert found["price_ratio"] == pytest.approx(1)
    assert found["price_s"] == pytest.approx(found["blend_s"] - found["components_s"])
    alone = {c: BASE_S[c] + TOKEN_S[c] * fmean(_uncached(rounds, c)) for c in WEIGHTS}
    expected = sum(WEIGHTS[c] * alone[c] for c in WEIGHTS)
    assert found["components_expected_s"] == pytest.approx(expected)


def test_the_plain_formula_is_the_price_but_for_blocks() -> None:
    """(g-1)·(U+R) by the draws that were made; without blocks nothing is rounded.

    Half a block is lost in every turn but a component's first, alone as well as in the blend, so
    that the blend, with more first turns, loses a little less.
    """
    rounds = measured(200)

    found = claim.figures(rounds, SETUP)

    talks = [theory.last_turns([r.component for r in t]) for one in rounds for t in one[BLEND]]
    firsts = fmean(talk.count(None) / TURNS - 1 / TURNS for talk in talks)
    known = fmean(t - (last or 0) - 1 for talk in talks for t, last in enumerate(talk, 1))
    assert found["price_tokens_plain"] == pytest.approx(known * (USER + RESPONSE))
    # The end of a random prompt lies anywhere in a block; 200 rounds leave about a token of noise.
    less = found["price_tokens_plain"] - found["price_tokens"]
    assert less == pytest.approx(firsts * (BLOCK + 1) / 2, abs=4)
    assert found["price_tokens_expected"] == pytest.approx(found["price_tokens_plain"], rel=0.05)


def test_a_blend_that_costs_more_does_not_pass() -> None:
    """5 % beyond its components and the price are no 3 %: status 1."""
    rounds = dearer(measured(8), 1.05)

    found = report.result(rounds, SETUP, {})

    assert found["claim"]["price_ratio"]["holds"]
    assert not found["claim"]["cost_ratio"]["holds"]
    assert report.status(found) == 1
    assert report.status(report.result(measured(8), SETUP, {})) == 0


def test_caches_that_hold_less_than_theory_do_not_pass() -> None:
    """A blend that computes a fifth more prompt tokens than it should: status 1."""
    rounds = changed(measured(8), lambda r: replace(r, cached=max(0, r.cached - 30)))

    found = report.result(rounds, SETUP, {})

    assert found["claim"]["price_ratio"]["ratio"] > 1.1
    assert report.status(found) == 1


@pytest.mark.parametrize(
    ("ratio", "error", "holds"),
    [(1.02, 0.01, True), (0.98, 0.01, True), (1.04, 0.01, False), (1.0, 0.02, False)],
)
def test_a_claim_needs_a_small_deviation_and_little_noise(
    ratio: float, error: float, holds: bool
) -> None:
    """A standard error beyond half of the tolerance shows nothing, whatever the ratio."""
    assert Verdict(ratio, error, tolerance=0.03).holds is holds


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    """Over rounds of equal size it is s/√n exactly."""
    rounds = measured(6)
    means = [fmean(r.engine_s for r in responses([one], BLEND)) for one in rounds]

    errors = claim.standard_errors(
        rounds, lambda some: {"mean": fmean(r.engine_s for r in responses(some, BLEND))}
    )

    assert errors["mean"] == pytest.approx(stdev(means) / 6**0.5)


def test_too_few_responses_are_refused() -> None:
    """Where a component never answers after another one, nothing is known of what it then reads."""
    drawn = ["a", "b"] * (TURNS // 2)
    rounds = [{**one, BLEND: [conversation(random.Random(1), drawn, drawn)]} for one in measured(2)]

    with pytest.raises(NotEnough, match="Component 'c' never answered after another"):
        claim.figures(rounds, SETUP)


def test_operations_are_counted_by_hand() -> None:
    """Two prompt tokens after one that is cached, and two generated: three go through the layers.

    The layers have 2·(2·8·(2+1)·4 + 3·8·10) = 864 parameters, the output 8·50 = 400. The three
    attend to 2, 3 and 4 tokens: 9 of them, at 4·2·2·4 = 64 operations each.
    """
    shape = flops.DecoderShape(2, 8, 2, 1, 4, 10, 50, gated=True)

    assert shape.block_parameters == 864
    assert shape.parameters == 864 + 2 * 400
    assert flops.response_flops(shape, prompt=3, uncached=2, tokens=2) == (
        2 * (864 * 3 + 400 * 2) + 9 * 64
    )


def test_candidates_share_their_prompt() -> None:
    """The first costs what a response costs; each other one computes one token of the prompt."""
    shape = flops.DecoderShape(2, 8, 2, 1, 4, 10, 50, gated=True)
    one = flops.response_flops(shape, prompt=30, uncached=20, tokens=6)
    more = flops.response_flops(shape, prompt=30, uncached=1, tokens=4)

    assert flops.candidates_flops(shape, 30, 20, [6]) == one
    assert flops.candidates_flops(shape, 30, 20, [6, 4, 4]) == one + 2 * more


def test_the_papers_models_have_their_published_sizes() -> None:
    """Their shapes give the parameters that the preset states, and GPT-3's 175 billion."""
    for component in load("paper").components:
        shape = flops.PAPER[component.id]
        assert shape.parameters == pytest.approx(component.parameters, rel=0.01)
    assert flops.GPT_3.parameters == pytest.approx(175e9, rel=0.01)


def test_operations_follow_the_draws() -> None:
    """Each component has its shape, whatever the order of the rounds; the price is on top."""
    rounds, small = measured(8), flops.DecoderShape(2, 8, 2, 2, 4, 10, 50, gated=True)
    big = flops.DecoderShape(20, 8, 2, 2, 4, 10, 50, gated=True)

    found = report.flops(rounds, list("abc"), Models({"x": small, "y": big, "z": small}, {}))

    alone = {c: responses(rounds, Series(c)) for c in "abc"}
    drawn = fmean(
        flops.mean_flops(big if r.component == "b" else small, alone[r.component])
        for r in responses(rounds, BLEND)
    )
    assert found["y"]["flops"] == flops.mean_flops(big, alone["b"])
    assert found["its components, as drawn"]["flops"] == pytest.approx(drawn)
    assert found["its components, as drawn"]["over_blend"] < found["blend"]["over_blend"] == 1
    assert found["x"]["flops"] < found["blend"]["flops"] < found["y"]["flops"]


def test_tables_and_words_say_what_came_of_it() -> None:
    """Every series has a row, and each part of the claim a sentence."""
    found = report.result(dearer(measured(4), 1.05), SETUP, {})

    series, compared = report.tables(found)

    assert series.row_count == 7
    assert compared.row_count == 11
    cost, price = report.words(found)
    assert "1.05" in cost
    assert cost.endswith("is NOT shown.")
    assert price.endswith("holds.")


def _uncached(rounds: Sequence[Round], component: str) -> list[int]:
    return [r.uncached for r in responses(rounds, Series(component))]


def test_the_committed_cost_holds_the_claim() -> None:
    """Engine seconds within 3 % and the price within 10 %, by this code's own verdict."""
    result = json.loads(RESULT.read_text())
    parts = {"cost_ratio": claim.COST_TOLERANCE, "price_ratio": claim.PRICE_TOLERANCE}

    for name, tolerance in parts.items():
        found = result["claim"][name]
        assert Verdict(found["ratio"], found["standard_error"], tolerance).holds == found["holds"]
    assert report.status(result) == 0
