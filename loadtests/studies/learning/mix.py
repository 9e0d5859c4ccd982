"""How a mix that moves safely moves: python -m loadtests.studies.learning.mix

Simulates users whose components have known values, and moves the mix once a day by the code of
`blended learn mix`. Counts how often it moves although all are equal, how often it reaches the
floor where one is best, and how often it follows when the best one becomes the worst. Prints a
table and, last, one line of JSON; `--save` writes it to a file.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from blended.cli.mix import HALF_LIFE_DAYS
from blended.learning.ascent import Rules
from loadtests.harness.provenance import made_by
from loadtests.studies.learning.ascents import Population, Run, ascend

SAVED = Path(__file__).parents[2] / "results" / "mix.json"
RULES = Rules(floor=0.1, max_step=0.05, ceilings={})
APART = (0.80, 0.84, 0.88)
DAYS, SWAP = 40, 20
PROCESSES = 2
OTHERS = (14.0, float("inf"))
WORLDS: dict[str, Sequence[Sequence[float]]] = {
    "equal": [(0.84, 0.84, 0.84)] * DAYS,
    "apart": [APART] * DAYS,
    "swapped": [APART] * SWAP + [APART[::-1]] * (DAYS - SWAP),
}


def moved(run: Run) -> bool:
    """Whether it ever did."""
    return any(move.kind != "stay" for move in run.moves)


def reached_the_floor(run: Run) -> bool:
    """The best component has all that the floor leaves."""
    return bool(np.allclose(run.shares[-1], (0.1, 0.1, 0.8)))


def is_right(run: Run, values: Sequence[float]) -> bool:
    """Whether the last mix is worth more than the uniform one, by its components' values."""
    return float(run.shares[-1] @ np.array(values)) > float(np.mean(values))


LOOKED_FOR: dict[str, Callable[[Run], bool]] = {
    "equal": moved,
    "apart": reached_the_floor,
    "swapped": partial(is_right, values=APART[::-1]),
}


def measure(runs: int, seed: int, half_life: float) -> dict[str, Any]:
    """The three worlds, each so many times; a quarter of it with each other half-life."""
    began, maker = time.perf_counter(), made_by("loadtests.studies.learning.mix")
    kinds = [(world, half_life, runs) for world in WORLDS]
    kinds += [("swapped", days, runs // 4) for days in OTHERS]
    tasks = [(*kind, n) for n in range(runs) for kind in kinds if n < kind[2]]
    lived: dict[tuple[str, float, int], list[Run]] = {kind: [] for kind in kinds}
    with ProcessPoolExecutor(PROCESSES) as pool:
        made = pool.map(partial(_live, seed), tasks)
        for done, (task, run) in enumerate(zip(tasks, made, strict=True), 1):
            lived[task[:3]].append(run)
            print(f"{done} of {len(tasks)} runs", end="\r", file=sys.stderr, flush=True)
    first, others = kinds[: len(WORLDS)], kinds[len(WORLDS) :]
    return {
        "simulated": True,
        **maker,
        "seed": seed,
        "days": DAYS,
        "swapped_on_day": SWAP,
        "values": APART,
        **vars(Population()),
        "floor": RULES.floor,
        "max_step": RULES.max_step,
        "half_life_days": half_life,
        **{kind[0]: counted(kind[0], lived[kind]) for kind in first},
        "swapped_with_other_half_lives": {
            f"{kind[1]:g}": counted(kind[0], lived[kind]) for kind in others
        },
        "seconds": round(time.perf_counter() - began),
    }


def _live(seed: int, task: tuple[str, float, int, int]) -> Run:
    world, half_life, _, number = task
    return live(world, half_life, (seed, number))


def live(world: str, half_life: float, seeds: tuple[int, int]) -> Run:
    """One run of a world."""
    return ascend(WORLDS[world], Population(), RULES, half_life, np.random.default_rng(seeds))


def counted(world: str, lived: Sequence[Run]) -> dict[str, Any]:
    """The share of runs of a world that did what is looked for, and the mean course of the mix."""
    return {
        "runs": len(lived),
        "share": float(np.mean([LOOKED_FOR[world](run) for run in lived])),
        "back_to_uniform": float(np.mean([_is_back(run) for run in lived])),
        "mean_shares_by_day": np.mean([run.shares for run in lived], axis=0).round(4).tolist(),
    }


def _is_back(run: Run) -> bool:
    return any(move.kind == "back" for move in run.moves)


def main() -> None:
    """Simulate, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--half-life", type=float, default=HALF_LIFE_DAYS, metavar="DAYS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep it in loadtests/results")
    options = parser.parse_args()
    result = measure(options.runs, options.seed, options.half_life)
    if options.save:
        SAVED.write_text(json.dumps(result, indent=1) + "\n")
    said = {
        "equal": "moved on any day",
        "apart": "at the floor at the end",
        "swapped": "worth more than uniform at the end",
    }
    for name, what in said.items():
        print(f"{name:8} {what:36} {result[name]['share']:.3f}")
    for days, found in result["swapped_with_other_half_lives"].items():
        print(f"{'swapped':8} {f'the same with a half-life of {days}':36} {found['share']:.3f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
