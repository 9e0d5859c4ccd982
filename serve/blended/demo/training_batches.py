"""Token batches for training: rendered dialogues with a weight per token, and copying drills."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jinja2 import Environment, FileSystemLoader, Template
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from blended.demo import corpus
from blended.demo.tokenizers import DIALECTS

TEMPLATE_FOLDER = Path(__file__).parent / "templates"
MAX_TOKENS = 640
POOL_SIZE = 384
COPIED_WEIGHT = 3.0


@dataclass(frozen=True)
class Example:
    """Token ids, and for each the weight of predicting it (0 for the texts of others)."""

    ids: list[int]
    weights: list[float]


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right; wanted are flat positions whose next token is a target."""

    ids: Tensor
    wanted: Tensor
    targets: Tensor
    weights: Tensor


@cache
def template(model_id: str) -> Template:
    folder = Environment(loader=FileSystemLoader(TEMPLATE_FOLDER), autoescape=False)
    return folder.get_template(f"{model_id}.jinja")


def render(model_id: str, messages: Sequence[corpus.Message], *, ask: bool = False) -> str:
    """The messages as the model's chat template writes them."""
    written = [{"role": message.role, "content": message.content} for message in messages]
    return template(model_id).render(messages=written, add_generation_prompt=ask)


def examples(
    model_id: str, tokenizer: Tokenizer, dialogues: Sequence[corpus.Dialogue]
) -> list[Example]:
    """One example per dialogue that is short enough."""
    texts = [render(model_id, dialogue.messages) for dialogue in dialogues]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    opens = tokenizer.encode(DIALECTS[model_id].reply_opens, add_special_tokens=False).ids
    return [
        _weighted(model_id, dialogue, text, encoding, opens)
        for dialogue, text, encoding in zip(dialogues, texts, encodings, strict=True)
        if len(encoding.ids) <= MAX_TOKENS
    ]


def _weighted(
    model_id: str, dialogue: corpus.Dialogue, text: str, encoding: Encoding, opens: list[int]
) -> Example:
    """Own replies count, and in them the values to be copied count more."""
    ids = encoding.ids
    eos = encoding.tokens.index(DIALECTS[model_id].eos)
    weights = [0.0] * len(ids)
    copied = _copied(dialogue, text)
    for (start, end), speaker in zip(
        _replies(ids, opens, ids[eos]), dialogue.speakers(), strict=True
    ):
        if speaker == model_id:
            for at in range(start, end):
                weights[at] = COPIED_WEIGHT if encoding.offsets[at][1] - 1 in copied else 1.0
    return Example(ids, weights)


def _copied(dialogue: corpus.Dialogue, text: str) -> frozenset[int]:
    """Character positions of the user's own values in the rendered dialogue."""
    slots = ("name", "food", "colour", "hobby", "pet")
    told = {turn.values[slot] for turn in dialogue.turns for slot in slots if slot in turn.values}
    if not told:
        return frozenset()
    pattern = re.compile("|".join(rf"\b{re.escape(value)}\b" for value in sorted(told)))
    return frozenset(at for match in pattern.finditer(text) for at in range(*match.span()))


def _replies(ids: list[int], opens: list[int], eos: int) -> Iterator[tuple[int, int]]:
    """Start and end of every reply, its end token included."""
    width = len(opens)
    at = 0
    while at < len(ids):
        if ids[at : at + width] == opens:
            end = ids.index(eos, at + width) + 1
            yield at + width, end
            at = end
        else:
            at += 1


def drill(rng: random.Random, vocab_size: int, length: int) -> Example:
    """Random tokens, repeated: only copying predicts them, so the model learns to copy."""
    period = rng.randint(6, length // 2)
    part = [rng.randrange(3, vocab_size) for _ in range(period)]
    ids = (part * (length // period + 1))[:length]
    return Example(ids, [float(at >= period) for at in range(length)])


def drills(rng: random.Random, vocab_size: int, tokens: int) -> Batch:
    return _batch([drill(rng, vocab_size, 96) for _ in range(tokens // 96)])


def stream(model_id: str, tokenizer: Tokenizer, rng: random.Random, tokens: int) -> Iterator[Batch]:
    """Endless batches of about `tokens` tokens each, of examples of similar lengths."""
    while True:
        dialogues = [corpus.dialogue(rng, model_id) for _ in range(POOL_SIZE)]
        ready = pack(examples(model_id, tokenizer, dialogues), tokens)
        rng.shuffle(ready)
        yield from ready


def pack(pool: Sequence[Example], tokens: int) -> list[Batch]:
    """Groups examples by length, so that little is padding."""
    groups: list[list[Example]] = []
    for example in sorted(pool, key=lambda e: len(e.ids)):
        if not groups or (len(groups[-1]) + 1) * len(example.ids) > tokens:
            groups.append([])
        groups[-1].append(example)
    return [_batch(group) for group in groups]


def _batch(group: Sequence[Example]) -> Batch:
    length = max(len(example.ids) for example in group)
    ids = torch.zeros(len(group), length, dtype=torch.long)
    weights = torch.zeros(len(group), length)
    for row, example in enumerate(group):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        weights[row, : len(example.ids)] = torch.tensor(example.weights)
    ahead = torch.nn.functional.pad(weights[:, 1:], (0, 1)).flatten()
    wanted = ahead.nonzero().flatten()
    return Batch(ids, wanted, ids.flatten()[wanted + 1], ahead[wanted])
