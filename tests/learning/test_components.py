"""What the components of a blend do to what comes next: planted effects are found, by users."""

import numpy as np
import pytest

from blended.errors import ConfigError
from blended.learning.components import ArmComponents, compare
from blended.learning.decisions import Decisions
from blended.learning.rewards import AFTERMATH
from loadtests.studies.learning.chats import Chats, World

MEASURES = [reward.name for reward in AFTERMATH]
WORLD = World(
    regenerates=(0.08, 0.1, 0.05),
    goes_on=(0.7, 0.72, 0.76),
    ttft_s=(0.2, 0.3, 0.2),
    mix=(0.25, 0.25, 0.5),
    visits=6,
)
MIX = dict(zip(WORLD.names, WORLD.mix, strict=True))


def compared(decisions: Decisions) -> ArmComponents:
    return compare(decisions, "blend", MIX)


def test_intervals_hold_planted_effects_and_would_not_if_responses_were_independent() -> None:
    """Of 300 journals 95 % are held, but for 4 standard errors; 1 run of 700 would fail.

    The levels of components are where users matter: responses of one user are alike.
    """
    rng = np.random.default_rng(1)
    big = WORLD.talk(50_000, rng)
    truths = {measure: big.truth(measure) for measure in MEASURES}
    held, iid = list[bool](), list[bool]()
    for _ in range(300):
        chats = WORLD.talk(300, rng)
        for one in compared(chats.decisions()).found:
            true, place = truths[one.measure], WORLD.names.index(one.component)
            if one.difference is not None:
                low, high = one.difference.interval(always_valid=False)
                held.append(low <= true[place] - true[0] <= high)
            low, high = one.value.interval(always_valid=False)
            held.append(low <= true[place] <= high)
            if one.measure == "turns_ahead":
                iid.append(abs(one.value.value - true[place]) < 1.96 * naive_se(chats, place))

    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
    assert np.mean(iid) < 0.85


def naive_se(chats: Chats, place: int) -> float:
    """The standard error of a component's mean as if responses were independent."""
    values = chats.rewards()["turns_ahead"][chats.drawn == place]
    return float(values.std() / len(values) ** 0.5)


def test_equal_components_are_not_called_different() -> None:
    """Always-valid intervals are wider than those for one look: chance has 1 in 200 runs."""
    rng, alike = np.random.default_rng(2), World(mix=WORLD.mix)
    found = [compared(alike.talk(300, rng).decisions()).found for _ in range(100)]

    called = [any((o.corrected_p or 1) < 0.05 for o in effects) for effects in found]
    assert np.mean(called) <= 0.05


def test_a_worse_component_is_found_among_thousands_of_users() -> None:
    """Every planted effect, in its direction, after correction for all of them."""
    world = World((0.05, 0.15), (0.75, 0.6), (0.2, 0.4), (0.5, 0.5))
    decisions = world.talk(4000, np.random.default_rng(3)).decisions()
    found = compare(decisions, "blend", {"a": 0.5, "b": 0.5})

    worse = {o.measure: o for o in found.found if o.component == "b"}
    for measure in ("regenerated", "continued", "turns_ahead", "waited_s"):
        one = worse[measure]
        assert one.difference is not None
        assert (one.difference.value > 0) == (measure in ("regenerated", "waited_s"))
        assert (one.corrected_p or 0) < 0.05


def test_what_never_happened_is_zero_and_no_error() -> None:
    """No logarithm is taken of it."""
    world = World(regenerates=(1e-12, 1e-12), goes_on=(0.5, 0.5), ttft_s=(1, 1), mix=(0.5, 0.5))
    found = compare(
        world.talk(200, np.random.default_rng(4)).decisions(), "blend", {"a": 0.5, "b": 0.5}
    )

    (one,) = (o for o in found.found if o.measure == "regenerated" and o.component == "b")
    assert one.value.value == 0
    assert one.difference is not None
    assert one.difference.p_value() == 1


def test_too_few_users_give_no_numbers() -> None:
    """Below 20 effective users a mean is not normal; the component is named instead."""
    found = compared(WORLD.talk(12, np.random.default_rng(5)).decisions())

    assert found.found == ()
    assert set(found.few) == set(MIX)


def test_the_mean_weight_is_one_and_shows_a_wrong_propensity() -> None:
    """Draws that were logged with other probabilities than their own are noticed."""
    decisions = WORLD.talk(3000, np.random.default_rng(6)).decisions()
    for weight in compared(decisions).weights.values():
        low, high = weight.interval()
        assert low <= 1 <= high
    wrong = World(mix=(1 / 3, 1 / 3, 1 / 3)).talk(3000, np.random.default_rng(6))
    lying = Chats(**{**vars(wrong), "world": WORLD}).decisions()

    low, high = compared(lying).weights["c"].interval()
    assert high < 1


def test_a_component_that_is_never_drawn_cannot_be_compared_with() -> None:
    """The error names those that are."""
    with pytest.raises(ConfigError, match="never draws 'x'; it draws: a, b, c"):
        compare(WORLD.talk(30, np.random.default_rng(7)).decisions(), "blend", MIX, "x")
