"""How often the statistics of experiments err: python -m loadtests.studies.statistics

Simulates experiments with a known truth, without a journal. Counts how often an interval misses the
truth, and how often arms without any difference are called different: after one look at the end,
with a look every day, and with the end moved to a day that is chosen afterwards. Two processes
share the work; OPENBLAS_NUM_THREADS=1 keeps them from waiting for each other. Prints a table and,
last, one line of JSON; `--save` writes it to a file.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np

from loadtests.harness.machine import machine
from loadtests.studies.statistics import SAVED
from loadtests.studies.statistics.counting import coverage, false_alarms, peeking
from loadtests.studies.statistics.worlds import NO_DIFFERENCE, WORLDS

_PROCESSES = 2


def measure(experiments: int, peeked: int, seed: int) -> dict[str, Any]:
    """How often all statistics err, over `experiments` of each world; `peeked` of them are looked
    at daily."""
    began = time.perf_counter()
    rngs = iter([np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(20)])
    with ProcessPoolExecutor(_PROCESSES) as pool:
        daily = pool.submit(peeking, NO_DIFFERENCE, peeked, next(rngs))
        moved = pool.submit(peeking, NO_DIFFERENCE, peeked, next(rngs), is_moved=True)
        worlds = {w.name: pool.submit(coverage, w, experiments, next(rngs)) for w in WORLDS}
        once = pool.submit(false_alarms, NO_DIFFERENCE, experiments, next(rngs))
        return {
            "simulated": True,
            "machine": machine(),
            "experiments": experiments,
            "peeked": peeked,
            "users": {world.name: world.users for world in (*WORLDS, NO_DIFFERENCE)},
            "seed": seed,
            "coverage": {name: asdict(found.result()) for name, found in worlds.items()},
            "false_alarms": once.result(),
            "peeking": asdict(daily.result()),
            "peeking_with_a_moved_end": asdict(moved.result()),
            "seconds": round(time.perf_counter() - began),
            "load_average": os.getloadavg()[0],
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=2000, help="of each world")
    parser.add_argument("--peeked", type=int, default=200, help="experiments looked at daily")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep it in loadtests/results")
    options = parser.parse_args(arguments)
    result = measure(options.experiments, options.peeked, options.seed)
    if options.save:
        SAVED.write_text(json.dumps(result, indent=1) + "\n")
    _print({key: value for key, value in result.items() if isinstance(value, dict)})
    print(json.dumps(result))


def _print(found: Mapping[str, Any], *path: str) -> None:
    for key, value in found.items():
        if isinstance(value, dict):
            _print(value, *path, key)
        elif isinstance(value, float):
            print(f"{', '.join((*path, key)):80} {value:.3f}")


if __name__ == "__main__":
    main()
