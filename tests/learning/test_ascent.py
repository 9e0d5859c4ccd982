"""The next shares of a mix, case by case."""

import math

import pytest

from blended.errors import ConfigError
from blended.experiments.mixes_over_time import InForce
from blended.learning import ascent
from blended.learning.ascent import Apart, Move, Rules, next_mix
from blended.learning.estimates import Value
from blended.learning.evidence import Evidence
from blended.learning.mix import decide

THIRDS = dict.fromkeys("abc", 1 / 3)
RULES = Rules(floor=0.1, max_step=0.05, ceilings={})


def apart(one: str, other: str, value: float, reach: float = 0.01) -> Apart:
    return Apart(one, other, value, value - reach, value + reach)


def moved(shares: dict[str, float], *pairs: Apart, rules: Rules = RULES) -> Move:
    return next_mix(shares, pairs, rules, None)


def test_one_step_goes_from_the_worst_to_the_best() -> None:
    """Of those that are shown to differ, whichever of the two is named first."""
    pairs = apart("a", "b", -0.03), apart("a", "c", -0.06), apart("c", "b", 0.03)
    move = moved(THIRDS, *pairs)

    assert move.kind == "step"
    assert move.shares == {"a": 0.2833, "b": 0.3333, "c": 0.3834}
    assert "'c' is better than 'a' by +0.06 (at least +0.05)" in move.reason


def test_without_a_shown_difference_nothing_moves() -> None:
    """A lower bound of 0 shows none; nor does no pair at all."""
    for pairs in ([apart("a", "c", -0.06, 0.06)], []):
        move = moved(THIRDS, *pairs)

        assert (move.kind, move.shares) == ("stay", THIRDS)
        assert "No component is shown to be better" in move.reason


def test_no_share_goes_below_the_floor() -> None:
    """The last step is the rest; then the next worst gives, and in the end nobody."""
    pairs = apart("a", "b", -0.03), apart("a", "c", -0.06), apart("b", "c", -0.03)
    shares: dict[str, float] = dict(THIRDS)
    for _ in range(20):
        move = moved(shares, *pairs)
        assert min(move.shares.values()) >= RULES.floor
        assert math.fsum(move.shares.values()) == pytest.approx(1, abs=1e-12)
        taken = max(shares[name] - move.shares[name] for name in shares)
        # Shares have four digits.
        assert taken <= RULES.max_step + 2e-4
        shares = dict(move.shares)

    assert shares == pytest.approx({"a": 0.1, "b": 0.1, "c": 0.8})
    assert moved(shares, *pairs).kind == "stay"
    assert "at its floor" in moved(shares, *pairs).reason


def test_no_share_goes_above_what_its_replicas_can_answer() -> None:
    """Then the next best one gets it."""
    pairs = apart("c", "a", 0.06), apart("b", "a", 0.03), apart("c", "b", 0.03)
    tight = Rules(0.1, 0.05, {"c": 0.35})
    full = Rules(0.1, 0.05, {"c": 0.3})

    assert moved(THIRDS, *pairs, rules=tight).shares["c"] == pytest.approx(0.35)
    assert moved(THIRDS, *pairs, rules=full).shares == {"a": 0.2833, "b": 0.3834, "c": 0.3333}


def test_a_mix_that_is_worse_than_uniform_goes_back_at_once() -> None:
    """The whole interval is below 0; its lower end is so from the first day on."""
    tilted, worse = {"a": 0.1, "b": 0.1, "c": 0.8}, apart("mix", "uniform", -0.03)
    unknown = apart("mix", "uniform", -0.03, 0.05)
    pairs = [apart("c", "a", 0.05)]
    back = next_mix(tilted, pairs, RULES, worse)

    assert (back.kind, back.shares) == ("back", THIRDS)
    assert "worse than the uniform one by 0.03 (at least 0.02)" in back.reason
    assert next_mix(tilted, pairs, RULES, unknown).kind == "stay"
    assert next_mix(THIRDS, pairs, RULES, worse).kind == "step"


@pytest.mark.parametrize(
    ("shares", "floor", "said"),
    [
        (THIRDS, 0.34, "The floor is 0.34, and 3 components need one above 0 and below 0.333"),
        (THIRDS, 0.0, "above 0"),
        (THIRDS, 1 / 3, "below 0.333"),
        ({"a": 0.05, "b": 0.95}, 0.1, "The share of 'a' is 5.0%, below the floor of 10.0%"),
    ],
)
def test_a_floor_that_cannot_be_kept_is_refused(
    shares: dict[str, float], floor: float, said: str
) -> None:
    """With the number that could be."""
    with pytest.raises(ConfigError, match=said):
        ascent.check(shares, Rules(floor, 0.05, {}))


def decided(since: float | None, over: Apart | None = None, fault: str = "") -> Move:
    """The decision at the end of day 10 on shares that were drawn since a time."""
    value = Value(0.0, 0.0, 0, 0.0, {})
    faults = (fault,) if fault else ()
    pairs = (apart("b", "a", 0.05),)
    evidence = Evidence({}, {}, pairs, value, value, over, faults, {})
    return decide({"a": 0.4, "b": 0.6}, evidence, RULES, InForce(since, None), 10.0, 1.0)


def test_a_mix_moves_once_a_day_at_most() -> None:
    """Not before it is drawn by, and a daily schedule may be some minutes early."""
    assert decided(9.0).kind == decided(9.02).kind == "step"
    assert decided(9.2).kind == decided(None).kind == "stay"
    assert "less than a day ago: it draws by these shares since 1970-01-01" in decided(9.2).reason
    assert "has not drawn by the file's weights yet" in decided(None).reason


def test_back_to_uniform_needs_no_waiting() -> None:
    """A mix that does harm ends."""
    assert decided(9.9, apart("mix", "uniform", -0.05)).kind == "back"


def test_nothing_moves_on_records_that_are_wrong() -> None:
    """Whatever they seem to show."""
    found = decided(5.0, apart("mix", "uniform", -0.05), fault="The mean weight of 'a' is 2.")

    assert (found.kind, found.reason) == ("stay", "The mean weight of 'a' is 2.")
