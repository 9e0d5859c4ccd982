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
    """Users whom no training has seen; that 300 pairs fall below .7 at .85 has odds of 10^-11."""
    rng, pairs = random.Random("fresh users"), list[Pair]()
    while len(pairs) < 300:
        for _, given in groupby(conversation("fresh", 0.0, rng), key=lambda r: r.lineage):
            *_, rejected, kept = (None, *given)
            if rejected is not None:
                pairs.append(Pair("fresh", 0.0, _answer(rejected), _answer(kept)))

    scores = _judge().scores(pairs, 16)

    assert (scores[:, 1] > scores[:, 0]).mean() > 0.7


def _answer(record: ResponseRecord) -> Answer:
    assert record.content is not None
    text = transcript(record.content["messages"], record.content["response"][0])
    return Answer(text, record.drawn)


def test_the_answer_with_the_right_name_wins() -> None:
    """Beside a wrong one, an answer to something else, and one that breaks off."""
    told = [
        {"role": "user", "content": "Hi there! My name is Robin."},
        {"role": "assistant", "content": "Hello Robin! It is so lovely to meet you!"},
        {"role": "user", "content": "Do you remember my name?"},
    ]
    answers = [
        "Of course I do! You are Robin!",
        "Of course I do! You are Martha!",
        "I love music so much! What song makes you happy?",
        "Of course I do! You",
    ]

    with torch.inference_mode():
        scores = _judge().score([transcript(told, answer) for answer in answers]).tolist()

    assert scores.index(max(scores)) == 0, scores
