"""The small reward model: its file, its version, and what its scores depend on."""

from pathlib import Path

import numpy as np
import pytest

from blended.errors import ConfigError
from blended.reward.features import DIMENSIONS, RELATIONS, features
from blended.reward.linear import LinearReward
from blended.reward.transcript import transcript

TOLD = [
    {"role": "user", "content": "My name is Robin."},
    {"role": "assistant", "content": "Hello there!"},
    {"role": "user", "content": "Who am I?"},
]


def reward(seed: int = 0, **about: str) -> LinearReward:
    """A model with random weights."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=DIMENSIONS).astype(np.float32)
    return LinearReward(weights, np.ones(len(RELATIONS), np.float32), about)


def test_a_model_is_the_same_in_its_file(tmp_path: Path) -> None:
    """Scores, version and what it says of itself; equal models are equal files of tens of kB."""
    path, again = tmp_path / "reward.npz", tmp_path / "again.npz"
    model = reward(pairs="many")
    texts = [transcript(TOLD, text) for text in ("You are Robin.", "Hm?", "")]
    model.save(path)
    model.save(again)

    read = LinearReward.load(path)

    assert read.scores(texts) == model.scores(texts)
    assert (read.version, read.about) == (model.version, {"pairs": "many"})
    assert path.read_bytes() == again.read_bytes()
    assert path.stat().st_size < 100_000


def test_a_version_is_that_of_the_weights() -> None:
    """It does not change with what the file says of them, but with any of them."""
    changed = reward()
    changed.weights[7] += 1e-3

    assert reward().version == reward(pairs="few").version
    assert len({reward().version, reward(1).version, changed.version}) == 3


def test_a_word_counts_once_and_length_does_not() -> None:
    """A repeated word adds nothing but the pairs that it makes; the number of words is no part."""
    weights = np.zeros(DIMENSIONS, np.float32)
    weights[features("Assistant: yes").places] = 1.0
    model = LinearReward(weights, np.zeros(len(RELATIONS), np.float32))

    once, more = model.scores(["Assistant: yes", "Assistant: yes, yes, yes"])

    assert once == 3.0  # the word, and its pairs with the beginning and the end
    assert more == once
    assert features("Assistant: yes, yes, yes").words == 3


def test_relations_are_with_what_was_said() -> None:
    """The share of words that the user has said, and the likeness to the response before."""
    echoes, repeats = features(transcript(TOLD, "Robin! Hello Robin!")).relations

    assert (echoes, repeats) == (1 / 2, 1 / 3)
    assert features("Assistant: Hello!").relations == (0, 0)
    assert features("Assistant: ...").relations == (0, 0)


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_model_is_said(content: bytes, tmp_path: Path) -> None:
    """With its name."""
    path = tmp_path / "reward.npz"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"reward\.npz' cannot be used as a reward model"):
        LinearReward.load(path)


def test_models_that_do_not_fit_are_said(tmp_path: Path) -> None:
    """Other sizes, weights that are no numbers, no file, and a folder that is not there."""
    path = tmp_path / "reward.npz"
    one, few = np.ones(3, np.float32), np.zeros(len(RELATIONS), np.float32)
    LinearReward(one, few).save(path)
    with pytest.raises(ConfigError, match="another version of Blended"):
        LinearReward.load(path)

    LinearReward(np.full(DIMENSIONS, np.nan, np.float32), few).save(path)
    with pytest.raises(ConfigError, match="no numbers"):
        LinearReward.load(path)

    np.save(path.with_suffix(".npy"), one)
    with pytest.raises(ConfigError, match="no file that 'blended reward fit' writes"):
        LinearReward.load(path.with_suffix(".npy"))

    with pytest.raises(ConfigError, match="No such file"):
        LinearReward.load(tmp_path / "nowhere.npz")
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        reward().save(tmp_path / "nowhere" / "reward.npz")
