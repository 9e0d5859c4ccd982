"""How often the statistics on draws err: python -m loadtests.studies.learning

Simulates conversations with known effects, without a journal. Counts how often intervals hold the
truth: of components, of mixes, of the gradient of retention, after one look and with a look on each
of 40 days. Beside them stand the intervals that take responses to be independent, and a regression
of retention on the components' shares. Prints a table and, last, one line of JSON; `--save` writes
it to a file. With `--plot FILE` it draws the values of some mixes instead.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from blended.experiments.plot_style import STYLE
from blended.learning.components import compare
from blended.learning.drawing import Mix, weight_of_answer, weight_of_draw
from blended.learning.estimates import Value, difference
from blended.learning.gradient import gradients
from blended.learning.learned import learn
from blended.learning.learned_document import document
from blended.learning.ope import evaluate, single
from blended.learning.page import gains
from blended.learning.rewards import AFTERMATH, REWARDS
from loadtests.harness.provenance import made_by
from loadtests.studies.learning.chats import Chats, Floats, World
from loadtests.studies.learning.newcomers import Newcomers, by_shares

SAVED = Path(__file__).parents[2] / "results" / "learning.json"
WORLD = World((0.08, 0.1, 0.05), (0.65, 0.7, 0.78), (0.2, 0.3, 0.2), visits=6)
MIXES: Mapping[str, Mix] = {
    "near": {"a": 0.28, "b": 0.33, "c": 0.39},
    "far": {"a": 0.1, "b": 0.2, "c": 0.7},
    "alone": {"c": 1.0},
}
_DAYS, _TRUE_USERS, _RETURNING = 40, 300_000, "two_more"
_Z = 1.96

Held = defaultdict[str, list[bool]]


def true_means(rng: np.random.Generator) -> dict[str, Floats]:
    """By reward, the mean after each component, of very many users."""
    chats = WORLD.talk(_TRUE_USERS, rng)
    return {reward.name: chats.truth(reward.name) for reward in (*REWARDS, *AFTERMATH)}


def coverage(
    truths: Mapping[str, Floats], journals: int, users: int, rng: np.random.Generator
) -> dict[str, float]:
    """How often intervals for one look hold the values of mixes, and components' differences."""
    held: Held = defaultdict(list)
    for _ in range(journals):
        chats = WORLD.talk(users, rng)
        _hold_mixes(chats, truths, held)
        _hold_components(chats, truths, held)
    return {name: float(np.mean(values)) for name, values in held.items()}


def _hold_mixes(chats: Chats, truths: Mapping[str, Floats], held: Held) -> None:
    names = [reward.name for reward in REWARDS]
    found = evaluate(chats.decisions(), MIXES, names, weight_of_answer, robust=True)
    got = chats.rewards()
    for mix, shares in MIXES.items():
        share = np.array([shares.get(name, 0.0) for name in WORLD.names])
        weights = (share / np.array(WORLD.mix))[chats.drawn]
        for name in names:
            truth = float(share @ truths[name])
            value = found.snips(mix, name)
            held[f"snips.{mix}.{name}"].append(_holds(value, truth))
            robust = found.doubly_robust(mix, name)
            held[f"doubly_robust.{mix}.{name}"].append(_holds(robust, truth))
            errors = weights * (got[name] - value.value)
            se = float(np.sqrt((errors**2).sum()) / weights.sum())
            held[f"iid.{mix}.{name}"].append(abs(value.value - truth) <= _Z * se)


def _hold_components(chats: Chats, truths: Mapping[str, Floats], held: Held) -> None:
    mix = dict(zip(WORLD.names, WORLD.mix, strict=True))
    for one in compare(chats.decisions(), "blend", mix).found:
        true, place = truths[one.measure], WORLD.names.index(one.component)
        held[f"component.{one.measure}"].append(_holds(one.value, float(true[place])))
        if one.difference is not None:
            apart = float(true[place] - true[0])
            held[f"difference.{one.measure}"].append(_holds(one.difference, apart))


def _holds(value: Value, truth: float, always_valid: bool = False) -> bool:
    low, high = value.interval(always_valid=always_valid)
    return bool(low <= truth <= high)


def peeking(truth: Floats, journals: int, users: int, rng: np.random.Generator) -> dict[str, float]:
    """How often an interval leaves out the truth on any of 40 days, by its kind."""
    apart = float(truth[2] - truth[0])
    missed = defaultdict[str, list[bool]](list)
    for _ in range(journals):
        chats = WORLD.talk(users, rng, _DAYS)
        kinds = {"always_valid": True, "one_look": False}
        out = dict.fromkeys((f"{w}.{k}" for w in ("value", "difference") for k in kinds), False)
        for day in range(1, _DAYS + 1):
            found = evaluate(
                chats.until(day).decisions(), single("ac"), [_RETURNING], weight_of_draw
            )
            best, worst = (found.snips(name, _RETURNING) for name in "ca")
            if not (best.is_known and worst.is_known):
                continue
            more = difference(found.moments, best, worst)
            for kind, always_valid in kinds.items():
                out[f"value.{kind}"] |= not _holds(best, float(truth[2]), always_valid)
                out[f"difference.{kind}"] |= not _holds(more, apart, always_valid)
        for name, is_out in out.items():
            missed[name].append(is_out)
    return {name: float(np.mean(values)) for name, values in missed.items()}


def gradient(runs: int, users: int, rng: np.random.Generator) -> dict[str, Any]:
    """How often the gradient's intervals hold the truth, and those of a regression on shares."""
    newcomers = Newcomers()
    truth = newcomers.truth(_TRUE_USERS, seed=int(rng.integers(2**31)))
    held, shares, values = list[list[bool]](), list[list[bool]](), list[list[float]]()
    for _ in range(runs):
        counts, came = newcomers.day(users, rng)
        (found,) = gradients(newcomers.first_days(counts, came))
        toward = list(found.toward.values())
        held.append([_holds(one, float(t)) for one, t in zip(toward, truth, strict=True)])
        at, errors = by_shares(counts, came, newcomers.mix)
        shares.append([bool(h) for h in np.abs(at - truth) <= _Z * errors])
        values.append([*(one.value for one in toward), *at])
    means = np.mean(values, axis=0)
    return {
        "truth": [round(float(t), 4) for t in truth],
        "mean_estimate": [round(float(m), 4) for m in means[:3]],
        "mean_of_regression_on_shares": [round(float(m), 4) for m in means[3:]],
        "held": float(np.mean(held)),
        "held_by_regression_on_shares": float(np.mean(shares)),
    }


@mpl.rc_context(STYLE)
def plot(path: Path, seed: int) -> None:
    """What mixes gain over what was drawn, of 4,000 simulated users, as the page shows it."""
    decisions = WORLD.talk(4_000, np.random.default_rng(seed)).decisions()
    nobody = Newcomers().first_days(np.zeros((0, 3)), np.zeros(0))
    mixes = {".28 .33 .39": MIXES["near"], ".1 .2 .7": MIXES["far"]}
    found = document(learn(decisions, nobody, mixes), 0, 0, simulated=True)
    figure = gains(found, found["mixes"])
    figure.suptitle("SIMULATED: 4,000 users, with .33 .33 .33 as drawn", size=9.5)
    figure.savefig(path, dpi=110)


def measure(journals: int, peeked: int, runs: int, seed: int) -> dict[str, Any]:
    """All of it, at the sizes that are stated."""
    began, rng = time.perf_counter(), np.random.default_rng(seed)
    maker, truths = made_by("loadtests.studies.learning"), true_means(rng)
    return {
        "simulated": True,
        **maker,
        "seed": seed,
        "journals": journals,
        "users": 5_000,
        "coverage": coverage(truths, journals, 5_000, rng),
        "journals_looked_at_daily": peeked,
        "missed_on_any_of_40_days": peeking(truths[_RETURNING], peeked, 1_000, rng),
        "gradient_runs": runs,
        "gradient_users": 20_000,
        "gradient": gradient(runs, 20_000, rng),
        "seconds": round(time.perf_counter() - began),
    }


def main() -> None:
    """Simulate, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journals", type=int, default=300)
    parser.add_argument("--peeked", type=int, default=300, help="journals looked at daily")
    parser.add_argument("--runs", type=int, default=200, help="of the gradient")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep it in loadtests/results")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the values of mixes")
    options = parser.parse_args()
    if options.plot:
        plot(options.plot, options.seed)
        return
    result = measure(options.journals, options.peeked, options.runs, options.seed)
    if options.save:
        SAVED.write_text(json.dumps(result, indent=1) + "\n")
    for name in ("coverage", "missed_on_any_of_40_days"):
        for key, share in sorted(result[name].items()):
            print(f"{name:26} {key:32} {share:.3f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
