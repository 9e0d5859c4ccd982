"""Values of mixes from draws by another mix: the truth is held, with users as the unit."""

from dataclasses import replace

import numpy as np
import pytest

from blended.learning.components import compare
from blended.learning.decisions import Decisions
from blended.learning.drawing import Drawing, weight_of_answer
from blended.learning.gradient import OUTCOMES, FirstDays
from blended.learning.handoffs import handoffs
from blended.learning.learned import learn
from blended.learning.ope import evaluate
from blended.learning.rewards import REWARDS, SUMS
from loadtests.studies.learning.chats import Chats, World

NAMES = [reward.name for reward in REWARDS]
WORLD = World((0.08, 0.1, 0.05), (0.65, 0.7, 0.78), visits=6)
MIXES = {
    "near": {"a": 0.28, "b": 0.33, "c": 0.39},
    "far": {"a": 0.1, "b": 0.2, "c": 0.7},
    "alone": {"c": 1.0},
}


def test_intervals_hold_the_value_of_mixes_and_would_not_if_responses_were_independent() -> None:
    """Of 200 journals of 300 users 95 % are held, but for 4 standard errors: chance 1 in 700."""
    rng = np.random.default_rng(1)
    big = WORLD.talk(50_000, rng)
    truths = {name: big.truth(name) for name in NAMES}
    held = {kind: list[bool]() for kind in ("snips", "doubly_robust", "iid")}
    for _ in range(200):
        chats = WORLD.talk(300, rng)
        found = evaluate(chats.decisions(), MIXES, NAMES, weight_of_answer, robust=True)
        for mix, shares in MIXES.items():
            for name in NAMES:
                truth = sum(shares.get(c, 0) * t for c, t in zip("abc", truths[name], strict=True))
                for kind in ("snips", "doubly_robust"):
                    one = getattr(found, kind)(mix, name)
                    low, high = one.interval(always_valid=False)
                    held[kind].append(low <= truth <= high)
            value = found.snips(mix, "two_more").value
            truth = sum(
                shares.get(c, 0) * t for c, t in zip("abc", truths["two_more"], strict=True)
            )
            reach = 1.96 * naive_se(chats, shares, value)
            held["iid"].append(abs(value - truth) <= reach)

    assert np.mean(held["snips"]) == pytest.approx(0.95, abs=0.02)
    assert np.mean(held["doubly_robust"]) == pytest.approx(0.95, abs=0.02)
    assert np.mean(held["iid"]) < 0.85


def naive_se(chats: Chats, shares: dict[str, float], value: float) -> float:
    """The standard error of SNIPS as if responses were independent."""
    weights = 3 * np.array([shares.get(name, 0.0) for name in "abc"])[chats.drawn]
    errors = weights * (chats.rewards()["two_more"] - value)
    return float(np.sqrt((errors**2).sum()) / weights.sum())


def test_a_mix_far_from_the_draws_has_few_users_behind_it() -> None:
    """Their effective number falls with the distance; the mean weight stays 1."""
    found = evaluate(
        WORLD.talk(2_000, np.random.default_rng(2)).decisions(), MIXES, NAMES, weight_of_answer
    )
    near, far, alone = (found.mean_weight(mix) for mix in MIXES)

    assert near.effective > far.effective > alone.effective
    for weight in (near, far, alone):
        low, high = weight.interval()
        assert low <= 1 <= high


def test_the_mix_that_was_drawn_has_the_mean_as_its_value() -> None:
    """All weights are 1, and the doubly robust estimate corrects all of its prediction."""
    decisions = WORLD.talk(500, np.random.default_rng(3)).decisions()
    found = evaluate(decisions, {"own": dict.fromkeys("abc", 1 / 3)}, NAMES, weight_of_answer, True)

    for name in NAMES:
        mean = decisions.column(name).sum() / decisions.responses()
        assert found.snips("own", name).value == pytest.approx(mean)
        assert found.ips("own", name).value == pytest.approx(mean)
        assert found.doubly_robust("own", name).value == pytest.approx(mean, rel=0.01)


def test_the_doubly_robust_estimate_is_that_of_its_formula() -> None:
    """One response after the other, each predicted by the other half of the users."""
    decisions = WORLD.talk(80, np.random.default_rng(7)).decisions()
    mix = MIXES["far"]
    responses, got = decisions.column("responses"), decisions.column("two_more")

    def predicted(component: int, user: int) -> float:
        rows = (decisions.drawing == component) & (decisions.user % 2 != user % 2)
        return float(got[rows].sum() / responses[rows].sum())

    total = 0.0
    for row, user in enumerate(decisions.user):
        drawn = int(decisions.drawing[row])
        expected = sum(mix["abc"[place]] * predicted(place, user) for place in range(3))
        error = got[row] - responses[row] * predicted(drawn, user)
        total += responses[row] * expected + 3 * mix["abc"[drawn]] * error
    found = evaluate(decisions, {"far": mix}, ["two_more"], weight_of_answer, robust=True)

    value = found.doubly_robust("far", "two_more").value
    assert value == pytest.approx(total / responses.sum(), abs=1e-12)


def test_outages_do_not_bias_the_value_of_a_mix() -> None:
    """While c is out the others answer, and worse: what a mix would have got then is weighed.

    The truth is that of the mix among those that are left; 5 standard errors are allowed.
    """
    quality, mix = {"a": 0.2, "b": 0.5, "c": 0.8}, {"a": 0.6, "b": 0.2, "c": 0.2}
    rng, logged = np.random.default_rng(4), dict.fromkeys("abc", 1 / 3)
    kinds = dict[tuple[str, frozenset[str]], int]()
    rows = []
    for user in range(4_000):
        left = frozenset("ab") if rng.random() < 0.5 else frozenset("abc")
        component = str(rng.choice(sorted(left)))
        kind = kinds.setdefault((component, left), len(kinds))
        rows.append((user, kind, float(rng.random() < quality[component])))
    users, places, reward = (np.array(column) for column in zip(*rows, strict=True))
    sums = np.zeros((len(rows), len(SUMS)))
    sums[:, SUMS.index("responses")], sums[:, SUMS.index("kept")] = 1, reward
    drawings = tuple(Drawing(None, None, logged, c, c, (c,), left) for c, left in kinds)
    decisions = Decisions(4_000, users, drawings, places, sums, {})

    value = evaluate(decisions, {"mix": mix}, ["kept"], weight_of_answer).snips("mix", "kept")
    among = [sum(mix[c] * quality[c] for c in of) / sum(mix[c] for c in of) for of in ("ab", "abc")]
    assert value.value == pytest.approx(np.mean(among), abs=5 * value.se)


def test_requests_that_a_component_cannot_answer_are_not_held_against_the_others() -> None:
    """They are harder here, and c gets none of them: yet all components are equally good."""
    rng, users = np.random.default_rng(9), 4_000
    whole, part = dict.fromkeys("abc", 1 / 3), dict.fromkeys("ab", 0.5)
    drawings = [
        Drawing("try", "blend", p, name, name, (name,), frozenset(p), before)
        for p in (whole, part)
        for name in p
        for before in "abc"
    ]
    likely = np.array([1 / 3 / len(d.probabilities) / 2 for d in drawings])
    drawing = rng.choice(len(drawings), users * 5, p=likely)
    is_hard = np.array([len(d.probabilities) == 2 for d in drawings])[drawing]
    sums = np.zeros((users * 5, len(SUMS)))
    sums[:, SUMS.index("responses")] = 1
    for name in ("kept", "continued"):
        sums[:, SUMS.index(name)] = rng.random(users * 5) < np.where(is_hard, 0.3, 0.9)
    user = np.repeat(np.arange(users), 5)
    left_out = {"named": 0, "repeated": 0}
    decisions = Decisions(users, user, tuple(drawings), drawing, sums, left_out)

    nobody = FirstDays(
        ("a", "b", "c"), np.zeros((0, 3)), *({o.name: np.zeros(0) for o in OUTCOMES},) * 2
    )
    for mix in learn(decisions, nobody, {}).mixes:
        assert abs(mix.gain["kept"].value) <= 5 * mix.gain["kept"].se + 1e-9, mix.name
    found = compare(decisions, "blend", whole)
    assert found.partial == is_hard.sum()
    for one in found.found:
        if one.measure == "continued" and one.difference is not None:
            assert abs(one.difference.value) <= 5 * one.difference.se
    (matrix,) = handoffs(decisions, ["kept"])
    for cell in matrix.cells.values():
        assert cell.value == pytest.approx(0.9, abs=5 * cell.se)


@pytest.mark.parametrize("interaction", [0.0, 0.1])
def test_a_hand_off_that_matters_is_found(interaction: float) -> None:
    """A component that does better after itself, among 4,000 users; by chance 1 run in 1,000."""
    matrix = handed_over(4_000, interaction, np.random.default_rng(5))
    (found,) = handoffs(matrix, ["kept"])

    assert found.interaction_p is not None
    assert (found.interaction_p < 0.001) == (interaction > 0)
    own, other = found.cells["a", "a"], found.cells["b", "a"]
    assert own.value - other.value == pytest.approx(interaction, abs=5 * (own.se + other.se))


def test_the_test_of_hand_offs_keeps_its_level() -> None:
    """Of 200 journals without an interaction 5 % are called, but for 3.3 standard errors."""
    rng = np.random.default_rng(6)
    p_values = [
        handoffs(handed_over(200, 0.0, rng), ["kept"])[0].interaction_p or 0 for _ in range(200)
    ]

    assert np.mean(np.array(p_values) < 0.05) <= 0.1


def test_conversations_of_one_turn_hand_nothing_over() -> None:
    """There is no cell, and no test."""
    (found,) = handoffs(WORLD.talk(50, np.random.default_rng(8)).decisions(), ["kept"])

    assert found.cells == {}
    assert found.interaction_p is None


def handed_over(users: int, interaction: float, rng: np.random.Generator) -> Decisions:
    """Ten responses of each user, kept as their habit says, and more if a component goes on."""
    habit = np.repeat(rng.uniform(0.3, 0.7, users), 10)
    before, present = rng.integers(0, 3, (2, len(habit)))
    kept = rng.random(len(habit)) < habit + interaction * (before == present)
    key = np.repeat(np.arange(users), 10) * 9 + before * 3 + present
    sums = np.zeros((users * 9, len(SUMS)))
    sums[:, SUMS.index("responses")] = np.bincount(key, minlength=users * 9)
    sums[:, SUMS.index("kept")] = np.bincount(key, kept, minlength=users * 9)
    logged = dict.fromkeys("abc", 1 / 3)
    one = Drawing(None, None, logged, "a", "a", ("a",), frozenset("abc"))
    drawings = tuple(
        replace(one, drawn=p, component=p, asked=(p,), before=b) for b in "abc" for p in "abc"
    )
    place = np.arange(users * 9)
    return Decisions(users, place // 9, drawings, place % 9, sums, {})
