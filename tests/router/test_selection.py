"""The draw, as a pure function."""

import math
from collections import Counter
from itertools import pairwise

import pytest
from scipy.stats import chisquare, norm

from blended.router.selection import SelectionDistribution, draw, normalise, uniform

DRAWS = 30_000
# A correct draw fails at this level for one in a million seeds; the seeds are fixed.
LEVEL = 1e-6
ODDS = "the odds of this for a correct draw are one in a million"


def drawn(weights: dict[str, float], seed: str = "seed") -> list[str]:
    distribution = normalise(weights)
    return [
        draw(distribution, uniform(seed, f"conversation-{i // 6}", i % 6, f"nonce-{i}")).component
        for i in range(DRAWS)
    ]


@pytest.mark.parametrize(
    "weights",
    [{"a": 1, "b": 1, "c": 1}, {"a": 5, "b": 3, "c": 2}, {"a": 0.9, "b": 0.1}],
    ids=["uniform", "weighted", "lopsided"],
)
def test_frequencies_follow_the_weights(weights: dict[str, float]) -> None:
    """Over 30,000 draws the frequencies fit the selection distribution by chi-square."""
    counts = Counter(drawn(weights))
    total = sum(weights.values())

    observed = [counts[name] for name in weights]
    p = chisquare(observed, [DRAWS * w / total for w in weights.values()]).pvalue
    assert p > LEVEL, f"{counts} does not fit {weights} (p = {p:.2g}); {ODDS}"


def test_successive_draws_are_independent() -> None:
    """Successive draws are equal as often as independence predicts (lag 1)."""
    sequence = drawn({"a": 1, "b": 1, "c": 1})

    agreements = sum(x == y for x, y in pairwise(sequence))
    pairs = DRAWS - 1
    z = (agreements - pairs / 3) / math.sqrt(pairs * (1 / 3) * (2 / 3))
    p = 2 * norm.sf(abs(z))
    assert p > LEVEL, f"{agreements} of {pairs} pairs agree (p = {p:.2g}); {ODDS}"


def test_draws_within_a_conversation_are_independent_of_the_turn() -> None:
    """At every turn of a conversation the frequencies are the same."""
    sequence = drawn({"a": 1, "b": 1, "c": 1})

    for turn in range(6):
        counts = Counter(sequence[turn::6])
        p = chisquare([counts[name] for name in "abc"]).pvalue
        assert p > LEVEL, f"turn {turn}: {counts} (p = {p:.2g}); {ODDS}"


def test_the_same_arguments_give_the_same_draw() -> None:
    """A draw can be replayed from the seed, the conversation, the turn and the nonce."""
    assert drawn({"a": 1, "b": 1}) == drawn({"a": 1, "b": 1})


def test_another_seed_conversation_turn_or_nonce_is_another_draw() -> None:
    """Each of the four arguments changes the number, and none can stand in for another."""
    base = uniform("s", "ab", 1, "c")

    others = {
        uniform("t", "ab", 1, "c"),
        uniform("s", "a", 1, "c"),
        uniform("s", "ab", 2, "c"),
        uniform("s", "ab", 1, "d"),
        uniform("s", "a", 1, "bc"),
    }
    assert base not in others
    assert len(others) == 5


def test_weight_zero_is_never_drawn() -> None:
    """A component with weight 0 stays in the vector and is never drawn, in any position."""
    for weights in ({"z": 0.0, "a": 1.0}, {"a": 1.0, "z": 0.0}, {"a": 1, "z": 0, "b": 1}):
        distribution = normalise(weights)
        for number in (0.0, 0.25, 0.5, 0.75, 1 - 2**-53):
            assert draw(distribution, number).component != "z"
        assert "z" in distribution.components


def test_a_draw_carries_what_replays_it() -> None:
    """It has the component, its propensity, the number and the whole vector."""
    distribution = normalise({"a": 1, "b": 3})

    result = draw(distribution, 0.25)

    assert result.component == "b"
    assert result.propensity == 0.75
    assert result.uniform == 0.25
    assert result.distribution == SelectionDistribution(("a", "b"), (0.25, 0.75))


def test_probabilities_that_round_below_one_still_give_a_component() -> None:
    """A number above the rounded sum selects the last component that can be drawn."""
    distribution = SelectionDistribution(("a", "b", "z"), (0.3, 0.3, 0.0))

    assert draw(distribution, 0.99).component == "b"


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": -1, "b": 2}, {"a": math.nan}])
def test_weights_that_are_no_distribution_are_refused(weights: dict[str, float]) -> None:
    """No component, all weights 0, a negative weight and NaN each raise a sentence."""
    with pytest.raises(ValueError, match=r"weight"):
        normalise(weights)


def test_any_text_can_be_hashed() -> None:
    """Lone surrogates, which JSON can carry, do not break the draw."""
    assert 0 <= uniform("\ud800", "\udfff", 0, "\ud800") < 1
