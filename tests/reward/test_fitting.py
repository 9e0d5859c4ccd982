"""The small model finds what users prefer, and refuses what is no preference between answers."""

from pathlib import Path

import numpy as np
import pytest

from blended.errors import NotEnoughData
from blended.reward.examples import FOLDS, HELD_OUT, Answer, Examples, Pair, Point, fold
from blended.reward.fitting import evaluate, fit

FILLER = ("so", "well", "and", "the", "of", "to", "in", "is", "it", "that")


def text(rng: np.random.Generator, *words: str) -> str:
    """A response with some words among others."""
    said = [*words, *rng.choice(FILLER, int(rng.integers(4, 12)))]
    rng.shuffle(said)
    return f"User: Hi!\nAssistant: {' '.join(said)}"


def pairs(count: int, good: str, bad: str, rng: np.random.Generator) -> list[Pair]:
    """Users mostly keep what has the good word, and reject what has the bad one."""
    made = list[Pair]()
    for number in range(count):
        one, other = text(rng, good), text(rng, bad)
        kept, rejected = (one, other) if rng.random() < 0.85 else (other, one)
        components = rng.choice(["a", "b"], 2)
        answers = (Answer(t, str(c)) for t, c in zip((rejected, kept), components, strict=True))
        made.append(Pair(f"user {number % 200}", float(number), *answers))
    return made


def point(user: str, text: str, sign: "str", is_good: bool) -> Point:
    return Point(user, 0.0, Answer(text, "a"), "thumb" if sign == "thumb" else "two_more", is_good)


def test_words_that_users_keep_have_higher_scores() -> None:
    """And the gates are those of users whom the scoring model has not seen."""
    examples = Examples(tuple(pairs(1_000, "yes", "no", np.random.default_rng(0))), (), 1_000)

    fitted = fit(examples, {"pairs": 1_000})

    auc, *_ = fitted.gates
    assert all(gate.passed for gate in fitted.gates), fitted.gates
    assert auc.value == pytest.approx(0.85, abs=0.05)
    assert fitted.model.about == {"pairs": 1_000}
    good, bad = fitted.model.scores(["Assistant: yes and it is", "Assistant: no and it is"])
    assert good > bad + 1


def test_the_held_out_users_decide_no_weight() -> None:
    """What they alone say is not learnt, and is what a model is evaluated by."""
    rng = np.random.default_rng(1)
    all_pairs = pairs(1_000, "yes", "no", rng)
    turned = [
        Pair(p.user, p.at, p.kept, p.rejected) if fold(p.user) == HELD_OUT else p for p in all_pairs
    ]

    model = fit(Examples(tuple(turned), (), 1_000), {}).model

    good, bad = model.scores(["Assistant: yes", "Assistant: no"])
    assert good > bad
    auc, *_ = evaluate(model, Examples(tuple(turned), (), 1_000).of([HELD_OUT]))
    assert auc.value == pytest.approx(0.15, abs=0.1)


def test_equal_examples_give_equal_models(tmp_path: Path) -> None:
    """To the byte."""
    examples = Examples(tuple(pairs(300, "yes", "no", np.random.default_rng(2))), (), 300)
    files = [tmp_path / name for name in ("one.npz", "two.npz")]

    for file in files:
        fit(examples, {}).model.save(file)

    assert files[0].read_bytes() == files[1].read_bytes()


def test_length_is_fitted_apart() -> None:
    """Users keep the longer answer, in words that all answers have: nothing is left to score by."""
    rng, made = np.random.default_rng(3), list[Pair]()
    for number in range(1_000):
        short, long = sorted(rng.integers(4, 20, 2))
        sizes = (
            (long, short) if rng.random() < 1 / (1 + np.exp((long - short) / 4)) else (short, long)
        )
        rejected, kept = (
            Answer(f"Assistant: {' '.join(rng.choice(FILLER, size))}", "a") for size in sizes
        )
        made.append(Pair(f"user {number % 200}", float(number), rejected, kept))

    fitted = fit(Examples(tuple(made), (), 1_000), {})

    auc, _, length, *_ = fitted.gates
    assert auc.value == pytest.approx(0.5, abs=0.07)
    assert length.passed
    assert not auc.passed


def test_thumbs_and_what_came_next_are_learnt_from_as_well() -> None:
    """Words that no pair has get their weights from points; thumbs weigh more."""
    rng = np.random.default_rng(4)
    made = pairs(400, "yes", "no", rng)
    points = [
        point(f"user {n % 200}", text(rng, word), sign, is_good)
        for n in range(200)
        for word, sign, is_good in (
            ("lovely", "thumb", True),
            ("awful", "thumb", False),
            ("go", "two_more", True),
            ("stop", "two_more", False),
        )
    ]

    model = fit(Examples(tuple(made), tuple(points), 400), {}).model

    words = ("lovely", "awful", "go", "stop", "yes", "no")
    scores = dict(zip(words, model.scores([f"Assistant: {w}" for w in words]), strict=True))
    assert scores["lovely"] - scores["awful"] > scores["go"] - scores["stop"] > 0.1
    assert scores["yes"] > scores["no"]


def test_too_few_users_are_said() -> None:
    """Some would be left without others to judge by."""
    made = tuple(pairs(50, "yes", "no", np.random.default_rng(5)))
    alone = tuple(Pair("user 1", p.at, p.rejected, p.kept) for p in made)

    with pytest.raises(NotEnoughData, match="1 users have had an answer drawn again"):
        fit(Examples(alone, (), 50), {})


def test_folds_are_of_users_and_of_equal_size() -> None:
    """Of 5,000 users each fold has 1,000, but for 4 standard errors (113): 1 in 3,000 hashes."""
    sizes = np.bincount([fold(f"{number:032x}") for number in range(5_000)], minlength=FOLDS)

    assert np.abs(sizes - 1_000).max() < 113
