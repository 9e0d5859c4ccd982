"""Fine-tunes a sequence classifier to the pairs of a journal: the large reward model.

Run: python -m blended.reward.train --journal URL --base Qwen/Qwen3-0.6B --out FOLDER

It needs the extra `train`; a GPU is used where there is one. vLLM serves the folder by its pooling
runner. The loss is that of Bradley and Terry (1952), as in fitting.py, with the answer's length and
its component beside the score; both are left out afterwards.
"""

import argparse
import json
import math
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from blended.journal.from_config import open_store
from blended.reward.classifier import Classifier
from blended.reward.examples import HELD_OUT, Pair, fold
from blended.reward.features import length
from blended.reward.gates import Gate, judge
from blended.reward.reading import read
from blended.reward.scored import Scored
from blended.timestamps import in_utc

_WORDS_UNIT = 25.0
_BESIDE_LR = 1e-2
_REPORT_EVERY = 20
_BATCHES_IN_POOL = 16


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome, beside the journal and the base."""

    epochs: int = 1
    batch: int = 16
    peak_lr: float = 2e-5
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    seed: int = 7

    def learning_rate(self, done: float) -> float:
        """After a share of all steps: up and then down on straight lines, as part of the peak."""
        return min(done / self.warmup_share, (1 - done) / (1 - self.warmup_share))


def batches(pairs: Sequence[Pair], size: int, rng: random.Random) -> Iterator[list[Pair]]:
    """All pairs once, in batches of texts of similar lengths, in random order."""
    order = rng.sample(pairs, len(pairs))
    pool = size * _BATCHES_IN_POOL
    for start in range(0, len(order), pool):
        alike = sorted(order[start : start + pool], key=lambda pair: len(pair.kept.text))
        ready = [alike[first : first + size] for first in range(0, len(alike), size)]
        rng.shuffle(ready)
        yield from ready


def fit(model: Classifier, pairs: Sequence[Pair], recipe: Recipe) -> None:
    """The training loop; prints its progress."""
    rng = random.Random(recipe.seed)
    components = sorted({a.component for pair in pairs for a in (pair.rejected, pair.kept)})
    beside = torch.zeros(1 + len(components), requires_grad=True, device=model.net.device)
    groups = [
        {"params": model.net.parameters(), "lr": recipe.peak_lr},
        {"params": [beside], "lr": _BESIDE_LR, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * math.ceil(len(pairs) / recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: recipe.learning_rate((step + 1) / (steps + 1))
    )
    model.net.train()
    started, step, recent = time.perf_counter(), 0, math.log(2)
    for _ in range(recipe.epochs):
        for batch in batches(pairs, recipe.batch, rng):
            scores = model.score([a.text for p in batch for a in (p.rejected, p.kept)])
            apart = torch.tensor(_apart(batch, components), device=beside.device)
            loss = -F.logsigmoid(scores[1::2] - scores[::2] + apart @ beside).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step, recent = step + 1, 0.95 * recent + 0.05 * float(loss.detach())
            if step % _REPORT_EVERY == 0:
                left_s = (time.perf_counter() - started) / step * (steps - step)
                print(f"step {step}/{steps}  loss {recent:.3f}  {left_s:.0f} s left", flush=True)


def _apart(pairs: Sequence[Pair], components: Sequence[str]) -> list[list[float]]:
    """What else differs in a pair: the length, and who wrote it."""
    return [
        [
            (length(pair.kept.text) - length(pair.rejected.text)) / _WORDS_UNIT,
            *(
                float(pair.kept.component == name) - float(pair.rejected.component == name)
                for name in components
            ),
        ]
        for pair in pairs
    ]


def train(pairs: Sequence[Pair], base: str, out: Path, recipe: Recipe) -> tuple[Gate, ...]:
    """Fit to four fifths of the users, judge by the others, and write the model if it passes."""
    torch.manual_seed(recipe.seed)
    model = Classifier.load(base, "cuda" if torch.cuda.is_available() else "cpu")
    held_out = [pair for pair in pairs if fold(pair.user) == HELD_OUT]
    fit(model, [pair for pair in pairs if fold(pair.user) != HELD_OUT], recipe)
    model.round()
    found = judge(Scored.of(held_out, model.scores(held_out, recipe.batch)))
    if all(gate.passed for gate in found):
        model.save(out)
    return found


def main() -> None:
    """Read, train, judge; the last line is one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journal", help="its address, if not BLENDED_JOURNAL_URL's")
    parser.add_argument("--since", type=in_utc, metavar="TIME", help="UTC; all without it")
    parser.add_argument("--base", required=True, help="a model's id or folder, or demo:ember")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    parser.add_argument("--batch", type=int, default=Recipe.batch, help="pairs in a step")
    parser.add_argument("--lr", type=float, default=Recipe.peak_lr, help="its peak")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    options = parser.parse_args()
    recipe = Recipe(options.epochs, options.batch, options.lr, seed=options.seed)
    with closing(open_store(os.environ, options.journal)) as store:
        store.open()
        since = options.since.timestamp() if options.since else 0.0
        pairs = read(store, since, time.time()).pairs
    found = train(pairs, options.base, options.out, recipe)
    for gate in found:
        print(f"{'passed' if gate.passed else 'REFUSES'}  {gate.name}: {gate.sentence}")
    passed = all(gate.passed for gate in found)
    gates = [gate.to_json() for gate in found]
    print(json.dumps({"written": str(options.out) if passed else None, "gates": gates}))
    if not passed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
