"""What is fitted to retries with a planted preference: python -m loadtests.studies.reward_fit

Writes journals of simulated users, fits the small reward model to each with the code of `blended
reward fit`, and holds its gates against what is known: in one world users prefer some words, in
others only who wrote an answer matters, or only how long it is. Prints a table and, last, one line
of JSON; `--save` writes it to a file.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from blended.journal.store import Store
from blended.learning.queries import DAY_S
from blended.reward.demo_journal import write
from blended.reward.examples import Answer, Examples, Pair
from blended.reward.fitting import fit
from blended.reward.reading import read
from blended.reward.scored import Scored
from blended.reward.transcript import turns_of
from loadtests.harness.provenance import made_by
from loadtests.studies.reward_fit.worlds import START, World

SAVED = Path(__file__).parents[2] / "results" / "reward.json"
WORLDS: Mapping[str, World] = {
    "words": World(by_words=1.71),
    "component alone": World(by_component=1.0),
    "words, component and length": World(by_words=1.71, by_component=0.8, by_length=-0.5),
    "length alone": World(by_length=-1.0),
}
_LATER = START + 60 * DAY_S


def bayes(world: World, pairs: Sequence[Pair]) -> dict[str, float]:
    """How often the kept answer is the truly better one, of one component's, and of all."""
    truth = np.array([[_true(world, answer) for answer in (p.rejected, p.kept)] for p in pairs])
    scored = Scored.of(pairs, truth)
    chosen = {"within": scored.component >= 0, "overall": scored.component >= -1}
    return {name: scored.mean_of(scored.won, rows).value for name, rows in chosen.items()}


def _true(world: World, answer: Answer) -> float:
    return world.quality(turns_of(answer.text)[-1].text, answer.component)


def examples_of(world: World, retries: int, seed: int, folder: Path) -> tuple[Examples, float]:
    """What the journal of a world has, and how long it took to read it, in seconds."""
    with closing(Store(f"sqlite:///{folder / 'journal.db'}")) as store:
        write(store, world.records(retries, seed))
        began = time.perf_counter()
        return read(store, 0.0, _LATER), time.perf_counter() - began


def measure(world: World, retries: int, seed: int) -> dict[str, Any]:
    """One world's journal, and what is fitted to it."""
    with tempfile.TemporaryDirectory() as folder:
        examples, read_s = examples_of(world, retries, seed, Path(folder))
    began = time.perf_counter()
    fitted = fit(examples, {})
    return {
        "planted": vars(world),
        "retries": examples.retries,
        "pairs": len(examples.pairs),
        "points": len(examples.points),
        "users": examples.users,
        "read_s": round(read_s, 1),
        "fit_s": round(time.perf_counter() - began, 1),
        "strength": fitted.strength,
        "bayes_auc": bayes(world, examples.pairs),
        "accepted": all(gate.passed for gate in fitted.gates),
        "gates": {gate.name: gate.to_json() for gate in fitted.gates},
    }


def main() -> None:
    """Simulate, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--retries", type=int, default=20_000, help="pairs in each journal")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep it in loadtests/results")
    options = parser.parse_args()
    result: dict[str, Any] = {
        "simulated": True,
        **made_by("loadtests.studies.reward_fit"),
        "seed": options.seed,
        "worlds": {},
    }
    for name, world in WORLDS.items():
        found = result["worlds"][name] = measure(world, options.retries, options.seed)
        auc = found["gates"]["auc_within_component"]
        print(
            f"{name:28} Bayes {found['bayes_auc']['within']:.3f}  AUC within "
            f"{auc['value']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]  overall "
            f"{found['gates']['auc_overall']['value']:.3f}  length "
            f"{found['gates']['length']['value']:+.2f}  read {found['read_s']} s  fit "
            f"{found['fit_s']} s  {'accepted' if found['accepted'] else 'refused'}",
            flush=True,
        )
        if options.save:
            SAVED.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
