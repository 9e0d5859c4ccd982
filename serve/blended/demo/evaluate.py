"""Judges trained demo models: perplexity and recall on values training never saw, and samples.

Run: PYTHONPATH=serve python -m blended.demo.evaluate
"""

import argparse
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from blended.demo import (
    CONVERSATION,
    MODEL_FOLDER,
    MODEL_IDS,
    corpus,
    slot_values,
    training_batches,
)
from blended.demo.corpus import Message

MAX_REPLY_TOKENS = 80
TEMPERATURE, TOP_P = 0.7, 0.9
_CHATTER = (
    "weather",
    "food_ask",
    "tired",
    "music",
    "work",
    "happy",
    "film",
    "drink",
    "offtopic",
    "joke",
)


@dataclass(frozen=True)
class Speaker:
    """A trained model, loaded in the usual way."""

    id: str
    tokenizer: Tokenizer
    net: Any

    @classmethod
    def load(cls, model_id: str, folder: Path) -> "Speaker":
        net: Any = AutoModelForCausalLM.from_pretrained(folder / model_id, dtype=torch.bfloat16)
        tokenizer = Tokenizer.from_file(str(folder / model_id / "tokenizer.json"))
        return cls(model_id, tokenizer, net.float().eval())

    def answer(self, histories: Sequence[Sequence[Message]]) -> list[str]:
        """One sampled reply per history."""
        prompts = [training_batches.render(self.id, history, ask=True) for history in histories]
        rows = [self.tokenizer.encode(p, add_special_tokens=False).ids for p in prompts]
        width, pad = max(map(len, rows)), self.net.config.pad_token_id
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        sampling = {"do_sample": True, "temperature": TEMPERATURE, "top_p": TOP_P, "top_k": 0}
        written = self.net.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=MAX_REPLY_TOKENS, **sampling
        )
        return [self._text(row[width:].tolist()) for row in cast(torch.Tensor, written)]

    def _text(self, ids: list[int]) -> str:
        """The reply up to its end; a reply that never ended is marked as such."""
        eos = self.net.config.eos_token_id
        if eos not in ids:
            return self.tokenizer.decode(ids) + UNFINISHED
        return self.tokenizer.decode(ids[: ids.index(eos)])


UNFINISHED = " [no end]"


@torch.inference_mode()
def perplexity(speaker: Speaker, dialogues: int = 200) -> float:
    """Per token of the model's own replies, in dialogues with held-out values."""
    rng = random.Random(f"perplexity-{speaker.id}")
    made = [corpus.dialogue(rng, speaker.id, held_out=True) for _ in range(dialogues)]
    total, count = 0.0, 0
    for batch in training_batches.pack(
        training_batches.examples(speaker.id, speaker.tokenizer, made), 8192
    ):
        logits = speaker.net(input_ids=batch.ids).logits.flatten(0, 1)[batch.wanted]
        total += float(torch.nn.functional.cross_entropy(logits, batch.targets, reduction="sum"))
        count += len(batch.wanted)
    return math.exp(total / count)


@dataclass(frozen=True)
class Probe:
    """A history that ends with a question of recall, and what the reply must contain."""

    history: tuple[Message, ...]
    expected: str


def recall_probe(fact: str, rng: random.Random) -> Probe:
    """A held-out value told first, one to five turns of other talk, then the question."""
    memory = corpus.Memory()
    intents = [corpus.STATES[fact], *rng.sample(_CHATTER, rng.randint(1, 5)), f"recall_{fact}"]
    turns = [corpus.converse((intent,), memory, rng, held_out=True) for intent in intents]
    messages = []
    for turn in turns:
        speaker = rng.choice(corpus.PERSONAS)
        messages.append(Message("user", turn.text))
        messages.append(Message("assistant", corpus.reply(speaker, turn, rng), speaker))
    return Probe(tuple(messages[:-1]), memory.facts[fact])


def recall(speaker: Speaker, fact: str, probes: int = 100, seed: int = 0) -> float:
    """The share of questions answered with the right held-out value."""
    rng = random.Random(f"recall-{speaker.id}-{fact}-{seed}")
    torch.manual_seed(seed)
    asked = [recall_probe(fact, rng) for _ in range(probes)]
    replies = speaker.answer([probe.history for probe in asked])
    pairs = zip(asked, replies, strict=True)
    return sum(probe.expected.lower() in reply.lower() for probe, reply in pairs) / probes


def blend(
    speakers: Sequence[Speaker], user_turns: Sequence[str], rng: random.Random
) -> tuple[Message, ...]:
    """A conversation in which a random model gives each response from the shared history."""
    history: list[Message] = []
    for text in user_turns:
        history.append(Message("user", text))
        speaker = rng.choice(speakers)
        history.append(Message("assistant", speaker.answer([history])[0], speaker.id))
    return tuple(history)


def conversations(folder: Path, model_ids: Sequence[str], seed: int = 0) -> Iterator[str]:
    """Printable blended conversations: the demo's own, then ones with held-out values."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    speakers = [Speaker.load(model_id, folder) for model_id in model_ids]
    for number in range(10**6):
        turns: Sequence[str] = CONVERSATION
        if number % 4:
            turns = [turn.text for turn in corpus.plan(rng, 6, held_out=True)]
        lines = [f"{m.speaker or 'user':>7}  {m.content}" for m in blend(speakers, turns, rng)]
        yield "\n".join(lines) + "\n"


def demo_recall(folder: Path, model_ids: Sequence[str], runs: int = 30, seed: int = 0) -> float:
    """The share of demo conversations, with held-out names, whose fifth response has the name."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    speakers = [Speaker.load(model_id, folder) for model_id in model_ids]
    hits = 0
    for _ in range(runs):
        name = slot_values.listed("real_name", rng, held_out=True)
        turns = [text.replace("Robin", name) for text in CONVERSATION[:5]]
        hits += name in blend(speakers, turns, rng)[-1].content
    return hits / runs


def report(folder: Path, model_ids: Sequence[str]) -> None:
    for model_id in model_ids:
        speaker = Speaker.load(model_id, folder)
        shares = ", ".join(f"{fact} {recall(speaker, fact):.0%}" for fact in corpus.FACTS)
        print(f"{model_id:>7}  held-out perplexity {perplexity(speaker):.2f}  recall: {shares}")
    print(f"  blend  name recalled in {demo_recall(folder, model_ids):.0%} of demo conversations")


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluate the demo's chat models.")
    parser.add_argument("--models", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--samples", type=int, default=3, help="conversations to print")
    options = parser.parse_args()
    ids = tuple(i for i in MODEL_IDS if (options.models / i / "config.json").exists())
    report(options.models, ids)
    for text in islice(conversations(options.models, ids), options.samples):
        print(text)


if __name__ == "__main__":
    main()
