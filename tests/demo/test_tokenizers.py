"""The three shipped tokenizers: lossless on any text, and of three kinds."""

import json
import random

import pytest
from tokenizers import Tokenizer

from blended.demo import MODEL_IDS, corpus, model_path
from blended.demo.tokenizers import DIALECTS, SPACE


def _load(model_id: str) -> Tokenizer:
    return Tokenizer.from_file(str(model_path(model_id) / "tokenizer.json"))


def _any_text(rng: random.Random) -> str:
    """Code points from all over Unicode, without surrogates and the mark for a space."""
    blocks = [
        (32, 127),
        (9, 14),
        (0xA0, 0x500),
        (0x4E00, 0x4F00),
        (0x1F300, 0x1FAFF),
        (0, 0x110000),
    ]
    points = [rng.randrange(*rng.choice(blocks)) for _ in range(rng.randint(1, 40))]
    kept = [chr(point) for point in points if not 0xD800 <= point < 0xE000]
    return "".join(kept).replace(SPACE, "")


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_any_text_survives_a_round_trip(model_id: str) -> None:
    """Decoding gives back exactly what was encoded, emoji and control characters included."""
    tokenizer, rng = _load(model_id), random.Random(11)
    texts = [_any_text(rng) for _ in range(300)]
    texts += [
        "\U0001f469\u200d\U0001f467 says hi",
        "  two  spaces ",
        "tab\tand\nline",
        "naïve café",
        "日本語",
    ]

    for text in texts:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_special_tokens_are_single_ids(model_id: str) -> None:
    """Every special token of a dialect is one token."""
    tokenizer = _load(model_id)

    for token in DIALECTS[model_id].specials:
        assert len(tokenizer.encode(token, add_special_tokens=False).ids) == 1


def test_the_tokenizers_differ_in_kind_and_size() -> None:
    """No two models split text the same way."""
    specs = [json.loads((model_path(i) / "tokenizer.json").read_text("utf-8")) for i in MODEL_IDS]
    kinds = {(s["model"]["type"], json.dumps(s["pre_tokenizer"], sort_keys=True)) for s in specs}

    assert len(kinds) == 3
    assert len({len(s["model"]["vocab"]) for s in specs}) == 3


@pytest.mark.parametrize("model_id", MODEL_IDS)
def test_small_talk_takes_few_tokens(model_id: str) -> None:
    """A word of the corpus costs about one token."""
    tokenizer, rng = _load(model_id), random.Random(5)
    texts = [m.content for _ in range(100) for m in corpus.dialogue(rng, model_id).messages]
    words = sum(len(text.split()) for text in texts)

    assert sum(len(e.ids) for e in tokenizer.encode_batch(texts)) < 2 * words
