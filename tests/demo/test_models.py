"""The shipped models: small, well-behaved, and able to recall a name they never saw."""

import random
from functools import cache
from math import prod

import pytest
import torch
from safetensors import safe_open

from blended.demo import CONVERSATION, MODEL_FOLDER, MODEL_IDS, evaluate, model_path
from blended.demo.corpus import Message

MEGABYTE = 1_000_000


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@cache
def _speaker(model_id: str) -> evaluate.Speaker:
    return evaluate.Speaker.load(model_id, MODEL_FOLDER)


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_model_keeps_its_size_budget(model_id: str) -> None:
    """At most two million parameters, in bf16, in a file of at most four megabytes."""
    file = model_path(model_id) / "model.safetensors"

    with safe_open(file, "pt") as weights:
        slices = [weights.get_slice(name) for name in weights.keys()]  # noqa: SIM118
        assert {piece.get_dtype() for piece in slices} == {"BF16"}
        assert sum(prod(piece.get_shape()) for piece in slices) <= 2_000_000
    assert file.stat().st_size <= 4 * MEGABYTE


def test_all_models_together_stay_small() -> None:
    """The models add at most twelve megabytes to the package."""
    assert sum(p.stat().st_size for p in MODEL_FOLDER.rglob("*") if p.is_file()) <= 12 * MEGABYTE


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_engine_limits_are_met(model_id: str) -> None:
    """The engine's CPU attention takes heads of 32 or 64; the context is 1024 tokens."""
    config = _speaker(model_id).net.config

    assert config.head_dim in (32, 64)
    assert config.max_position_embeddings == 1024


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_replies_end_by_themselves(model_id: str) -> None:
    """Of thirty sampled replies to the demo's own turns, at most one runs on."""
    torch.manual_seed(0)
    asked = [[Message("user", text)] for text in CONVERSATION for _ in range(5)]

    replies = _speaker(model_id).answer(asked)

    assert all(replies)
    assert sum(reply.endswith(evaluate.UNFINISHED) for reply in replies) <= 1, replies


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_held_out_name_is_recalled_after_other_talk(model_id: str) -> None:
    """A name that training never saw is given back, one to five turns later."""
    share = evaluate.recall(_speaker(model_id), "name", probes=40, seed=1)

    assert share >= 0.6, "a model that recalls 85 % of names falls this low once in 37,000 seeds"


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_text_it_never_saw_does_not_break_a_reply(model_id: str) -> None:
    """Emoji, other scripts and noise get a finite reply."""
    torch.manual_seed(0)
    strange = ["🎉🎉", "日本語は話せますか", "x" * 300, "", "\x00\n\t", "<|im_end|></s>[INST]"]

    replies = _speaker(model_id).answer([[Message("user", text)] for text in strange])

    assert len(replies) == len(strange)


def test_demo_conversation_works_with_any_speakers() -> None:
    """In blended runs of the demo conversation, the name is recalled in turn five."""
    torch.manual_seed(0)
    rng = random.Random(0)
    speakers = [_speaker(model_id) for model_id in MODEL_IDS]

    runs = [evaluate.blend(speakers, CONVERSATION[:5], rng)[-1].content for _ in range(6)]

    assert sum("Robin" in reply for reply in runs) >= 3, "at 85 % per run: once in 170 seeds"
