"""The shipped reward model: small, and able to tell what its simulated users keep."""

import random
from functools import cache
from itertools import groupby
from math import prod

import pytest
import torch
from safetensors import safe_open

from blended.demo import REWARD_MODEL_ID, model_path
from blended.journal.records import ResponseRecord
from blended.reward.classifier import Classifier
from blended.reward.demo_journal import conversation
from blended.reward.examples import Answer, Pair
from blended.reward.transcript import transcript


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@cache
def _judge() -> Classifier:
    judge = Classifier.load(f"demo:{REWARD_MODEL_ID}", "cpu")
    judge.net.eval()
    return judge


def test_it_is_a_small_classifier_without_a_chat_template() -> None:
    """At most two million parameters in bf16, one label; its texts are plain."""
    folder = model_path(REWARD_MODEL_ID)
    with safe_open(folder / "model.safetensors", "pt") as weights:
        slices = [weights.get_slice(name) for name in weights.keys()]  # noqa: SIM118
        assert {piece.get_dtype() for piece in slices} == {"BF16"}
        assert sum(prod(piece.get_shape()) for piece in slices) <= 2_000_000

    assert _judge().net.config.architectures == ["LlamaForSequenceClassification"]
    assert _judge().net.config.num_labels == 1
    assert _judge().tokenizer.truncation_side == "left"
    assert not (folder / "chat_template.jinja").exists()
    assert "simulated" in (folder / "README.md").read_text()


def test_it_prefers_what_simulated_users_keep() -> None:
    """Users whom no training has seen; at .73 one set of 300 pairs in millions is below .6."""
    rng, pairs = random.Random("fresh users"), list[Pair]()
    while len(pairs) < 300:
        for _, given in groupby(conversation("fresh", 0.0, rng), key=lambda r: r.lineage):
            *_, rejected, kept = (None, *given)
            if rejected is not None:
                pairs.append(Pair("fresh", 0.0, _answer(rejected), _answer(kept)))

    scores = _judge().scores(pairs, 16)

    assert (scores[:, 1] > scores[:, 0]).mean() > 0.6


def _answer(record: ResponseRecord) -> Answer:
    assert record.content is not None
    text = transcript(record.content["messages"], record.content["response"][0])
    return Answer(text, record.drawn)
