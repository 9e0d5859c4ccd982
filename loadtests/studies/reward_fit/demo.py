"""The best of four of the demo's answers: python -m loadtests.studies.reward_fit.demo

Asks each of the demo's models questions of recall, with facts that no training has seen, as in
demo/evaluate.py. Counts how often the answer has the fact: the first of four, the one that the
demo's reward model chooses, and the best that a chooser could do. Prints a table and, last, one
line of JSON; `--save` writes it to a file.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from blended.demo import MODEL_FOLDER, MODEL_IDS, REWARD_MODEL_ID
from blended.demo.corpus import FACTS, Message
from blended.demo.evaluate import UNFINISHED, Probe, Speaker, recall_probe
from blended.reward.classifier import Classifier
from blended.reward.transcript import transcript
from loadtests.harness.provenance import made_by

SAVED = Path(__file__).parents[2] / "results" / "reward-demo.json"
K = 4


def best_of(speaker: Speaker, judge: Classifier, probes: Sequence[Probe]) -> dict[str, float]:
    """The shares of answers with the fact: the first, the chosen one, and any of the K."""
    histories = [probe.history for probe in probes for _ in range(K)]
    texts = [text.removesuffix(UNFINISHED) for text in speaker.answer(histories)]
    with torch.inference_mode():
        scores = judge.score(
            [transcript(_messages(h), t) for h, t in zip(histories, texts, strict=True)]
        )
    chosen = scores.reshape(-1, K).argmax(1).tolist()
    right = [
        probe.expected.lower() in text.lower()
        for probe, text in zip((p for p in probes for _ in range(K)), texts, strict=True)
    ]
    rows = [right[at : at + K] for at in range(0, len(right), K)]
    picked = [row[place] for row, place in zip(rows, chosen, strict=True)]
    return {
        "first": sum(row[0] for row in rows) / len(rows),
        "chosen": sum(picked) / len(rows),
        "any": sum(map(any, rows)) / len(rows),
    }


def _messages(history: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in history]


def measure(questions: int, seed: int) -> dict[str, dict[str, float]]:
    """By model, over as many questions for each kind of fact."""
    torch.set_num_threads(1)
    judge = Classifier.load(f"demo:{REWARD_MODEL_ID}", "cpu")
    judge.net.eval()
    found = {}
    for model_id in MODEL_IDS:
        torch.manual_seed(seed)
        rng = random.Random(f"best of {K} {model_id} {seed}")
        probes = [recall_probe(fact, rng) for fact in FACTS for _ in range(questions)]
        found[model_id] = best_of(Speaker.load(model_id, MODEL_FOLDER), judge, probes)
    return found


def main() -> None:
    """Ask, choose, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=100, help="for each kind of fact")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep it in loadtests/results")
    options = parser.parse_args()
    began = time.perf_counter()
    result: dict[str, Any] = {
        **made_by("loadtests.studies.reward_fit.demo"),
        "seed": options.seed,
        "k": K,
        "questions": options.questions * len(FACTS),
        "recalled": measure(options.questions, options.seed),
        "seconds": round(time.perf_counter() - began),
    }
    for model_id, shares in result["recalled"].items():
        print(f"{model_id:>7}  " + "  ".join(f"{name} {s:.1%}" for name, s in shares.items()))
    if options.save:
        SAVED.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
