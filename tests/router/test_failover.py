"""The order of components: the same one once more, then the others by their weights."""

import math
from collections import Counter

import pytest
from scipy.stats import chisquare

from blended.router.failover import Choice, Failure, choose
from blended.router.selection import normalise, uniform

WEIGHTS = {"a": 5, "b": 3, "c": 2}
DISTRIBUTION = normalise(WEIGHTS)
NOBODY: frozenset[str] = frozenset()
ALL = tuple(WEIGHTS)


def first_half(_: int) -> float:
    return 0.4  # the component a


def test_the_drawn_component_is_asked_first() -> None:
    """Without failures the draw decides, with the component's own probability."""
    assert choose(DISTRIBUTION, NOBODY, [], first_half) == Choice("a", 0.5, ALL)


def failed(component: str, repeatable: bool = True) -> Failure:
    choice = Choice(component, DISTRIBUTION.by_component[component], ALL)
    return Failure(choice, "unavailable", repeatable)


def test_a_failure_is_repeated_once_at_another_replica() -> None:
    """The same component gets a second chance before another model answers."""
    choice = choose(DISTRIBUTION, NOBODY, [failed("a")], first_half)

    assert choice == Choice("a", 0.5, ALL, neighbour=True)


def test_a_repetition_keeps_the_propensity_of_the_draw() -> None:
    """It does so even if a check has since found the component missing."""
    choice = choose(DISTRIBUTION, {"a", "b"}, [failed("a")], first_half)

    assert choice == Choice("a", 0.5, ALL, neighbour=True)


def test_what_repeating_cannot_help_is_not_repeated() -> None:
    """For example, it does not wait for a whole budget again."""
    choice = choose(DISTRIBUTION, NOBODY, [failed("a", repeatable=False)], first_half)

    assert choice is not None
    assert choice.component != "a"


def test_everybody_is_asked_before_the_request_fails() -> None:
    """Each component is asked, or asked twice if that may help, until none is left."""
    failures: list[Failure] = []
    while choice := choose(DISTRIBUTION, NOBODY, failures, first_half):
        failures.append(failed(choice.component))

    assert Counter(f.component for f in failures) == {"a": 2, "b": 2, "c": 2}


@pytest.mark.parametrize("broken", [{"a"}, {"b"}, {"a", "b"}, {"b", "c"}])
@pytest.mark.parametrize("known", [True, False])
def test_components_that_fail_leave_the_others_their_proportions(
    broken: set[str], known: bool
) -> None:
    """Over 20,000 responses the propensity equals the shares, for known and unknown failures."""
    answered: Counter[str] = Counter()
    total = sum(weight for name, weight in WEIGHTS.items() if name not in broken)
    for nonce in range(20_000):
        choice = settled(broken, known, str(nonce))
        answered[choice.component] += 1
        assert not known or math.isclose(choice.propensity, WEIGHTS[choice.component] / total)

    left = {name: weight for name, weight in WEIGHTS.items() if name not in broken}
    assert set(answered) == set(left)
    p = chisquare([answered[n] for n in left], [20_000 * w / total for w in left.values()]).pvalue
    assert len(left) == 1 or p > 1e-6, (
        f"{answered} does not fit {left}; by chance one time in a million (p={p:.2g})"
    )


def settled(broken: set[str], known: bool, nonce: str) -> Choice:
    """The choice that answers when the components in `broken` never do."""
    unavailable = frozenset(broken) if known else NOBODY
    failures: list[Failure] = []
    while choice := choose(
        DISTRIBUTION, unavailable, failures, lambda k: uniform("", "c", 1, f"{nonce}/{k}")
    ):
        if choice.component not in broken:
            return choice
        failures.append(failed(choice.component))
    raise AssertionError("nobody answered")


def test_a_redraw_reports_its_own_probability() -> None:
    """After b failed twice, a has 5 of the 7 parts that are left."""
    twice = [failed("b")] * 2

    choice = choose(DISTRIBUTION, NOBODY, twice, first_half)
    assert choice is not None
    assert choice.component == "a"
    assert math.isclose(choice.propensity, 5 / 7)
    assert choice.left == ("a", "c")


def test_a_choice_names_those_that_could_be_drawn() -> None:
    """Neither who is out nor who has weight 0 could be."""
    distribution = normalise({**WEIGHTS, "d": 0})

    assert choose(distribution, {"c"}, [], first_half) == Choice("a", 5 / 8, ("a", "b"))


def test_when_all_are_said_to_be_out_they_are_asked_all_the_same() -> None:
    """A check can be wrong; only a response shows whether a component answers."""
    choice = choose(DISTRIBUTION, frozenset(WEIGHTS), [], first_half)

    assert choice == Choice("a", 0.5, ALL)


def test_weight_zero_is_never_a_way_out() -> None:
    """A draining component takes no responses from components that fail."""
    distribution = normalise({"a": 1, "b": 0})

    assert choose(distribution, NOBODY, [failed("a", repeatable=False)], first_half) is None
