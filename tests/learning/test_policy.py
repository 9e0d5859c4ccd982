"""A policy's probabilities and its file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blended.errors import ConfigError
from blended.learning import features
from blended.learning.features import Facts
from blended.learning.policy import Policy, floored, rounded
from blended.learning.policy_files import path_of, read, write
from tests.learning.policies import policy

NAMES = ("a", "b", "c")


def drawn(made: Policy, text: str, facts: Facts | None = None) -> dict[str, float]:
    added = made.added(features.words(text))
    return made.distribution(facts or Facts(1), added, made.components)


def test_words_and_the_component_before_decide() -> None:
    """What is favoured gets all that the floor leaves; else all are alike, to a 64th."""
    made = policy(words={"sun": "b"}, after={"c": "a"})

    assert drawn(made, "Sun!") == pytest.approx({"a": 0.1, "b": 0.8, "c": 0.1})
    assert drawn(made, "rain", Facts(2, before="c"))["a"] == pytest.approx(0.8)
    assert max(drawn(made, "rain").values()) - min(drawn(made, "rain").values()) < 0.7 / 64 + 1e-9


def test_no_component_gets_less_than_the_floor() -> None:
    """For any scores; the probabilities are few, and add up to 1."""
    rng = np.random.default_rng(1)
    shares = rng.dirichlet([0.1] * 4, 5_000)
    chances = floored(shares, 0.05)

    assert chances.min() >= 0.05
    assert np.abs(chances.sum(axis=1) - 1).max() < 1e-12
    assert np.abs(chances - (0.05 + 0.8 * shares)).max() <= 0.8 / 64
    assert len(np.unique(chances.round(12))) <= 65


def test_one_request_gets_what_many_get() -> None:
    """The router computes one by one, the fit all at once."""
    rng = np.random.default_rng(2)
    facts = rounded(rng.normal(0, 1, (3, features.width(NAMES))))
    made = replace(policy(words={"sun": "b"}, temperature=0.2), facts=facts)
    for _ in range(500):
        known = Facts(int(rng.integers(1, 9)), 1, str(rng.choice(NAMES)), float(rng.random()))
        added = rng.normal(0, 1, 3)
        vector = np.array([features.vector(known, NAMES)])
        many = made.probabilities(made.rewards(vector, added[None]))[0]
        assert list(made.distribution(known, added, NAMES).values()) == pytest.approx(many)


def test_a_component_without_a_weight_is_left_to_the_others() -> None:
    """The floor holds for those that are left; one that is not known is refused."""
    made = policy(words={"sun": "b"})
    added = made.added(["sun"])

    assert made.distribution(Facts(1), added, ["a", "b"]) == pytest.approx({"a": 0.1, "b": 0.9})
    assert made.distribution(Facts(1), added, ["a"]) == pytest.approx({"a": 1.0})
    with pytest.raises(ValueError, match="does not know 'd'"):
        made.distribution(Facts(1), added, ["a", "d"])


def test_scores_that_are_no_numbers_are_refused() -> None:
    """The router then draws by the weights."""
    made = policy(words={"sun": "b"})

    with pytest.raises(ValueError, match="no numbers"):
        made.distribution(Facts(1), np.full(3, np.nan), NAMES)


def test_a_file_holds_all_of_a_policy(tmp_path: Path) -> None:
    """It takes some 50 kB at most for three components, and its version is that of its content."""
    made = policy(words={"sun": "b", "rain": "c"}, after={"a": "b"})
    file = write(made, tmp_path)
    again = read(tmp_path, made.name, made.version)

    assert file.stat().st_size < 50_000
    assert again.version == made.version == file.name.split(".")[1]
    assert drawn(again, "rain") == drawn(made, "rain")
    assert replace(made, floor=0.2).version != made.version


def test_a_file_that_is_another_one_is_refused(tmp_path: Path) -> None:
    """Missing, changed, of other features, or none at all: the message names the file."""
    made = policy()
    file = write(made, tmp_path)
    text = file.read_text()
    other = path_of(tmp_path, made.name, "0" * 12)

    for content, told in (
        (None, "cannot be read"),
        ("{}", "no policy"),
        ("[]", "no policy"),
        (text.replace('"features": 1', '"features": 9'), "features of version 9"),
        (text, f"holds '{made.reference}'"),
    ):
        if content is not None:
            other.write_text(content)
        with pytest.raises(ConfigError, match=told):
            read(tmp_path, made.name, "0" * 12)
    file.write_text(text.replace('"floor": 0.1', '"floor": 0.01'))
    with pytest.raises(ConfigError, match="changed or renamed"):
        read(tmp_path, made.name, made.version)
