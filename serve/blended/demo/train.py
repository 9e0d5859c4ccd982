"""Trains the three chat models from scratch on the generated small talk, on two CPU cores.

Run: PYTHONPATH=serve python -m blended.demo.train --out models --samples 20
"""

import argparse
import math
import multiprocessing
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from blended.demo import (
    MODEL_FOLDER,
    MODEL_IDS,
    corpus,
    evaluate,
    induction_circuit,
    model,
    slot_values,
    training_batches,
)
from blended.demo import tokenizers as dialects

TOKENIZER_DIALOGUES = 800
TOKENIZER_NAMES = 1500


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome; the same recipe gives the same weights."""

    steps: int = 1200
    seed: int = 7
    batch_tokens: int = 3072
    drill_steps: int = 40
    drill_every: int = 20
    warmup_steps: int = 100
    peak_lr: float = 3e-3
    final_lr_share: float = 0.03
    weight_decay: float = 0.05
    report_every: int = 50

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then a half cosine."""
        if step < self.warmup_steps:
            return self.peak_lr * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        share = 0.5 * (1 + math.cos(math.pi * done))
        return self.peak_lr * (self.final_lr_share + (1 - self.final_lr_share) * share)


def tokenizer_texts(rng: random.Random, own: str) -> Iterator[str]:
    for _ in range(TOKENIZER_DIALOGUES):
        yield from (message.content for message in corpus.dialogue(rng, own).messages)
    for _ in range(TOKENIZER_NAMES):
        yield f"I am {slot_values.name(rng, held_out=False)}"


def train_batches(
    model_id: str, tokenizer: Tokenizer, recipe: Recipe, rng: random.Random
) -> Iterator[training_batches.Batch]:
    """Copying drills first and then now and again, small talk otherwise."""
    talk = training_batches.stream(model_id, tokenizer, rng, recipe.batch_tokens)
    for step in range(recipe.steps):
        if step < min(recipe.drill_steps, recipe.steps // 3) or step % recipe.drill_every == 0:
            yield training_batches.drills(rng, tokenizer.get_vocab_size(), recipe.batch_tokens)
        else:
            yield next(talk)


def loss_of(net: model.TinyLlama, batch: training_batches.Batch, *, bf16: bool) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        logits = net(batch.ids, batch.wanted)
    losses = F.cross_entropy(logits, batch.targets, reduction="none")
    return (losses * batch.weights).sum() / batch.weights.sum()


def optimizer_for(net: model.TinyLlama, recipe: Recipe) -> torch.optim.AdamW:
    matrices = [p for p in net.parameters() if p.dim() == 2]
    gains = [p for p in net.parameters() if p.dim() == 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": gains, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_lr, betas=(0.9, 0.98), fused=True)


def fit(model_id: str, tokenizer: Tokenizer, recipe: Recipe, rng: random.Random) -> model.TinyLlama:
    """The training loop of one model; prints its progress."""
    net = model.TinyLlama(model.Shape(tokenizer.get_vocab_size()))
    induction_circuit.install(net)
    optimizer = optimizer_for(net, recipe)
    bf16 = has_fast_bf16()
    started, tokens, recent = time.perf_counter(), 0, 0.0
    for step, batch in enumerate(train_batches(model_id, tokenizer, recipe, rng)):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate(step)
        loss = loss_of(net, batch, bf16=bf16)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        tokens += batch.ids.numel()
        recent = 0.95 * recent + 0.05 * float(loss.detach()) if step else float(loss.detach())
        if (step + 1) % recipe.report_every == 0:
            elapsed = time.perf_counter() - started
            _report(model_id, step + 1, recipe.steps, recent, tokens / elapsed, elapsed)
    return net


def has_fast_bf16() -> bool:
    """Matrix units for bf16 make a step a third faster; elsewhere bf16 is emulated and slow."""
    return "amx" in _cpu_flags()


def _cpu_flags() -> str:
    cpu = Path("/proc/cpuinfo")
    return cpu.read_text(encoding="utf-8") if cpu.exists() else ""


def _report(
    model_id: str, step: int, steps: int, loss: float, tokens_per_s: float, elapsed_s: float
) -> None:
    left_s = elapsed_s / step * (steps - step)
    print(
        f"{model_id:>7}  step {step:>5}/{steps}  loss {loss:.3f}"
        f"  {tokens_per_s:,.0f} tokens/s  {left_s:.0f} s left",
        flush=True,
    )


def train_one(model_id: str, out: Path, recipe: Recipe) -> None:
    """Trains one model on one core and writes its folder."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    rng = random.Random(f"{model_id}-{recipe.seed}")
    tokenizer = dialects.train(model_id, tokenizer_texts(rng, model_id))
    net = fit(model_id, tokenizer, recipe, rng)
    write(model_id, net, tokenizer, out / model_id)


def write(model_id: str, net: model.TinyLlama, tokenizer: Tokenizer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    dialect = dialects.DIALECTS[model_id]
    ids = tokenizer.get_vocab()
    bos = ids[dialect.bos] if dialect.bos else None
    model.save(net, folder, bos=bos, eos=ids[dialect.eos], pad=ids[dialect.pad])
    dialects.save(model_id, tokenizer, folder, net.shape.max_positions)
    shutil.copy(
        training_batches.TEMPLATE_FOLDER / f"{model_id}.jinja", folder / "chat_template.jinja"
    )


def train_all(model_ids: tuple[str, ...], out: Path, recipe: Recipe) -> None:
    """One process per model: a tiny model keeps one core busy better than two."""
    spawned = multiprocessing.get_context("spawn")
    workers = [spawned.Process(target=train_one, args=(i, out, recipe)) for i in model_ids]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("A training process failed; its error is above.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the demo's chat models.")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="folder for the models")
    parser.add_argument("--only", choices=MODEL_IDS, help="train this model alone")
    parser.add_argument("--steps", type=int, default=Recipe.steps, help="steps per model")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--samples", type=int, default=0, help="conversations to print at the end")
    options = parser.parse_args()
    started = time.perf_counter()
    model_ids = (options.only,) if options.only else MODEL_IDS
    train_all(model_ids, options.out, Recipe(steps=options.steps, seed=options.seed))
    print(f"Trained {', '.join(model_ids)} in {time.perf_counter() - started:.0f} s.")
    evaluate.report(options.out, model_ids)
    for text in islice(evaluate.conversations(options.out, model_ids), options.samples):
        print(text)


if __name__ == "__main__":
    main()
