"""The training recipe: exact export, sound loss masks, and an end-to-end run of a few steps."""

import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from blended.demo import MODEL_FOLDER, MODEL_IDS, corpus, evaluate, model, train, training_batches
from blended.demo import tokenizers as dialects
from blended.demo.corpus import Dialogue, Message


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _shipped(model_id: str) -> Tokenizer:
    return Tokenizer.from_file(str(MODEL_FOLDER / model_id / "tokenizer.json"))


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_only_own_replies_are_trained(model_id: str) -> None:
    """The weighted tokens are exactly the model's own replies, each with its end token."""
    messages = (
        Message("user", "Hello."),
        Message("assistant", "Mine one.", model_id),
        Message("user", "Again."),
        Message("assistant", "Theirs.", "another"),
        Message("user", "Again."),
        Message("assistant", "Mine two.", model_id),
    )
    tokenizer = _shipped(model_id)

    (example,) = training_batches.examples(model_id, tokenizer, [Dialogue(messages, ())])
    trained = [i for i, weight in zip(example.ids, example.weights, strict=True) if weight]

    eos = dialects.DIALECTS[model_id].eos
    text = tokenizer.decode(trained, skip_special_tokens=False)
    assert text == f"Mine one.{eos}Mine two.{eos}"


def test_copied_values_weigh_more() -> None:
    """The tokens of a name that the user gave count more than the words around it."""
    turn = corpus.Turn(("recall_name",), "Who am I?", {"name": "Robin"})
    messages = (Message("user", "Who am I?"), Message("assistant", "You are Robin.", "ember"))

    (example,) = training_batches.examples(
        "ember", _shipped("ember"), [Dialogue(messages, (turn,))]
    )
    heavy = [i for i, w in zip(example.ids, example.weights, strict=True) if w > 1]

    assert _shipped("ember").decode(heavy) == " Robin"


def test_export_computes_what_the_training_model_computed(tmp_path: Path) -> None:
    """transformers reads the exported weights and gives the same logits."""
    torch.manual_seed(0)
    net = model.TinyLlama(model.Shape(vocab_size=64, hidden=64, heads=2, layers=2, inner=96))
    net.bfloat16().float()
    model.save(net, tmp_path, bos=None, eos=1, pad=0)
    ids = torch.randint(0, 64, (2, 12))

    read = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    expected = net(ids, torch.arange(24))

    torch.testing.assert_close(read(ids).logits.flatten(0, 1), expected, atol=1e-4, rtol=1e-4)


def test_recipe_runs_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handful of steps gives a folder that loads and answers."""
    monkeypatch.setattr(train, "TOKENIZER_DIALOGUES", 60)
    monkeypatch.setattr(train, "TOKENIZER_NAMES", 60)
    recipe = train.Recipe(steps=4, batch_tokens=512, drill_steps=1, report_every=2)

    train.train_one("willow", tmp_path, recipe)

    speaker = evaluate.Speaker.load("willow", tmp_path)
    assert len(speaker.answer([[Message("user", "Hello.")]])) == 1


def test_same_recipe_gives_the_same_batches() -> None:
    """The order of training is a function of the seed."""
    recipe = train.Recipe(steps=6, batch_tokens=512, drill_steps=2)

    def first_ids() -> list[list[int]]:
        stream = train.train_batches("ember", _shipped("ember"), recipe, random.Random(1))
        return [batch.ids.flatten().tolist() for batch in stream]

    assert first_ids() == first_ids()


def test_drills_can_only_be_solved_by_copying() -> None:
    """A drill repeats itself, and only the repetition is trained."""
    example = training_batches.drill(random.Random(0), vocab_size=500, length=40)
    period = example.weights.index(1.0)

    assert example.ids[period:] == example.ids[: 40 - period]
