"""How often the statistics of experiments err: python -m loadtests.studies.statistics

Simulates experiments with a known truth, without a journal. Counts how often an interval misses the
truth, and how often arms without any difference are called different, after one look at the end and
with a look every day. Prints a table and, last, one line of JSON; `--save` writes it to a file.
"""

import argparse
import json
import math
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blended.experiments.analysis import ExperimentResult, analyse
from blended.experiments.curves import CURVES, Curve
from blended.experiments.definition import ArmDefinition, Definition
from blended.experiments.moments import Array
from blended.experiments.panel import ExperimentPanel
from blended.experiments.statistics import ALPHA, Estimate
from blended.experiments.user_days import SAID, SUMS, Ints
from loadtests.harness.machine import machine
from loadtests.studies.population.habits import (
    DAY_S,
    ArmEffect,
    Bools,
    draw,
    true_engagement,
    true_retention,
)

EFFECTS = (ArmEffect("control"), ArmEffect("test", 1.15, 1.1, 0.02, -0.01))
NO_EFFECTS = (ArmEffect("control"), ArmEffect("test"))
PAPER = ("delta_zeta", "delta_beta", "delta_alpha", "delta_gamma")
SHOWN_DAYS = (1, 7, 14, 30)

SAVED = Path(__file__).parents[1] / "results" / "calibration.json"

_DAYS, _JOIN_DAYS, _HISTORY_DAYS = 40, 10, 14


@dataclass(frozen=True)
class People:
    """n simulated users, and their activity on each of their days, arrays of shape (n, days)."""

    arm: Ints
    joined: Ints
    active: Bools
    sums: Mapping[str, Array]
    before: Mapping[str, Array]

    def panel(self, until: int) -> ExperimentPanel:
        """A journal's data on them before a day, counted from the experiment's first."""
        who = self.joined < until
        since = np.arange(self.active.shape[1])
        seen = self.joined[who, None] + since < until
        active = self.active[who] & seen
        user, day = np.nonzero(active)
        sums = {name: (values[who] * active).sum(axis=1) for name, values in self.sums.items()}
        totals = {
            "active_days": active.sum(axis=1).astype(float),
            **sums,
            **{f"before_{name}": values[who] for name, values in self.before.items()},
        }
        seconds = self.sums["active_s"][who][user, day]
        arm, joined = self.arm[who], self.joined[who]
        responses = self.sums["responses"][who][user, day]
        return ExperimentPanel(
            _DEFINITION, until, arm, joined, totals, user, day, seconds, responses
        )


_DEFINITION = Definition(
    name="calibration",
    salt="calibration",
    layer="default",
    users=(0, 1),
    eligible="all",
    start=0,
    end=_DAYS * DAY_S,
    control="control",
    arms=(ArmDefinition("control", 0.5, {}), ArmDefinition("test", 0.5, {})),
    gpus={},
    session_gap_s=1800,
    day_s=DAY_S,
    simulated=True,
)


def people(effects: tuple[ArmEffect, ArmEffect], users: int, rng: np.random.Generator) -> People:
    """Users of two arms who join on the first days, with everything that the journal counts."""
    arm, joined = rng.permutation(users) % 2, rng.integers(0, _JOIN_DAYS, users)
    activity = draw(effects, arm, joined, _DAYS, rng)
    sums = _sums(activity.active, activity.seconds, rng)
    before = draw([NO_EFFECTS[0]], np.zeros(users, dtype=np.int64), joined * 0, _HISTORY_DAYS, rng)
    earlier = _sums(before.active, before.seconds, rng)
    history = {name: values.sum(axis=1) for name, values in earlier.items()}
    history["active_days"] = before.active.sum(axis=1).astype(float)
    return People(arm, joined, activity.active, sums, history)


def _sums(active: Bools, seconds: Array, rng: np.random.Generator) -> dict[str, Array]:
    """The columns of the journal's user-days; users differ in what they do to responses."""
    users = len(active)
    turns = (1 + rng.poisson(seconds / 60)) * active
    retries = rng.binomial(turns, 0.1 * rng.beta(2, 2, users)[:, None])
    responses = turns + retries
    thumbs = rng.binomial(turns, 0.1)
    columns: dict[str, Any] = {
        "responses": responses,
        "turns": turns,
        "conversations": active + rng.binomial(turns, 0.05),
        "active_s": seconds,
        "waited_s": turns * 2.5,
        "prompt_tokens": responses * rng.gamma(4, 50, seconds.shape),
        "completion_tokens": responses * rng.gamma(9, 10, seconds.shape),
        "retries": retries,
        "failures": rng.binomial(responses, 0.02),
        "ttft_s": responses * rng.gamma(4, 0.02, seconds.shape),
        "ttft_responses": responses,
        "repetition": responses * rng.beta(2, 8, seconds.shape),
        "repetition_responses": responses,
        "engine_s": responses * rng.gamma(4, 0.5, seconds.shape),
        "thumbs": thumbs,
        "thumbs_up": rng.binomial(thumbs, rng.beta(4, 2, users)[:, None]),
        "edits": rng.binomial(turns, 0.02),
    }
    assert columns.keys() == {*SUMS, *SAID}, "the journal counts something else"
    return {name: values.astype(float) for name, values in columns.items()}


def coverage(experiments: int, users: int, rng: np.random.Generator) -> dict[str, float]:
    """How often intervals for a fixed time hold the truth, by what is estimated."""
    held = defaultdict[str, list[bool]](list)
    for _ in range(experiments):
        result = analyse(people(EFFECTS, users, rng).panel(_DAYS), _DAYS * DAY_S)
        for name, estimate, truth in _estimates(result):
            low, high = estimate.interval()
            held[name].append(low <= truth <= high)
    return {name: float(np.mean(values)) for name, values in held.items()}


def _estimates(result: ExperimentResult) -> Iterator[tuple[str, Estimate, float]]:
    """Everything that is estimated, with the truth, on the log scale."""
    for curve in CURVES:
        for k in SHOWN_DAYS:
            truth = {effect.name: math.log(_true(curve, effect, k)) for effect in EFFECTS}
            for arm, points in result.curves[curve].items():
                yield f"{curve}_{k}", points[k - 1], truth[arm]
            ratio = result.ratios[curve]["test"][k - 1].estimate
            yield f"{curve}_ratio_{k}", ratio, truth["test"] - truth["control"]
    yield from zip(PAPER, _paper(result), _true_paper(), strict=True)


def _paper(result: ExperimentResult) -> list[Estimate]:
    (found,) = result.lines
    return [e for line in (found.retention, found.engagement) for e in (line.intercept, line.slope)]


def _true_paper() -> tuple[float, float, float, float]:
    test = EFFECTS[1]
    return (
        math.log(test.retention),
        test.retention_decay,
        math.log(test.engagement),
        test.engagement_decay,
    )


def _true(curve: Curve, effect: ArmEffect, k: int) -> float:
    of_day = {"retention": true_retention, "engagement": true_engagement}[curve]
    return float(of_day(effect, k))


def false_alarms(experiments: int, users: int, rng: np.random.Generator) -> dict[str, float]:
    """How often arms without a difference are called different, looking once at the end.

    `naive_*` take the days of users to be independent.
    """
    alarms = Counter[str]()
    for _ in range(experiments):
        panel = people(NO_EFFECTS, users, rng).panel(_DAYS)
        for name, estimate in (_compared(analyse(panel, _DAYS * DAY_S)) | _naive(panel)).items():
            alarms[name] += estimate.p_value() < ALPHA
    return {name: count / experiments for name, count in alarms.items()}


def _naive(panel: ExperimentPanel) -> dict[str, Estimate]:
    """Two of the measures as if every user-day belonged to another user."""
    arms = []
    for arm in (1, 0):
        days = panel.totals["observed_days"][panel.arm == arm].sum()
        seconds = panel.seconds[panel.arm[panel.user] == arm]
        share = len(seconds) / days
        mean, square = seconds.sum() / days, (seconds**2).sum() / days
        variance = np.array([(1 - share) / share, square / mean**2 - 1]) / days
        arms.append((np.log([share, mean]), variance, round(days)))
    (test, test_variance, days), (control, variance, more) = arms
    logs, errors = test - control, np.sqrt(test_variance + variance)
    names = ("naive_active_days", "naive_time_per_day")
    return {
        name: Estimate(float(log), float(se), days + more)
        for name, log, se in zip(names, logs, errors, strict=True)
    }


@dataclass(frozen=True)
class Peeking:
    """How often a measure was called different on any of the days, by the kind of interval."""

    always_valid: Mapping[str, float]
    fixed_horizon: Mapping[str, float]


def peeking(experiments: int, users: int, rng: np.random.Generator) -> Peeking:
    """Look every day from the fifth, and stop at the first apparent difference."""
    alarms = {True: Counter[str](), False: Counter[str]()}
    names = set[str]()
    for _ in range(experiments):
        folk = people(NO_EFFECTS, users, rng)
        called = {True: set[str](), False: set[str]()}
        for until in range(5, _DAYS + 1):
            for name, estimate in _compared(analyse(folk.panel(until), 0)).items():
                names.add(name)
                for always_valid, found in called.items():
                    if estimate.p_value(always_valid) < ALPHA:
                        found.add(name)
        for always_valid, found in called.items():
            alarms[always_valid].update(found)
    shares = {kind: {n: count[n] / experiments for n in names} for kind, count in alarms.items()}
    return Peeking(shares[True], shares[False])


def _compared(result: ExperimentResult) -> dict[str, Estimate]:
    """Every difference that a result shows: its effects, and the paper's numbers."""
    effects = {effect.measure: effect.ratio for effect in result.effects}
    return effects | (dict(zip(PAPER, _paper(result), strict=True)) if result.lines else {})


def measure(experiments: int, peeked: int, users: int, seed: int) -> dict[str, Any]:
    """How often all statistics err, over `experiments`; `peeked` of them are looked at daily."""
    began = time.perf_counter()
    rng = np.random.default_rng(seed)
    covered = coverage(experiments, users, rng)
    once = false_alarms(experiments, users, rng)
    daily = peeking(peeked, users, rng)
    return {
        "simulated": True,
        "machine": machine(),
        "experiments": experiments,
        "peeked": peeked,
        "users": users,
        "seed": seed,
        "coverage": covered,
        "false_alarms": once,
        "false_alarms_peeking_always_valid": dict(daily.always_valid),
        "false_alarms_peeking_fixed_horizon": dict(daily.fixed_horizon),
        "seconds": round(time.perf_counter() - began),
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    """Simulate, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=2000)
    parser.add_argument("--peeked", type=int, default=1000, help="experiments looked at daily")
    parser.add_argument("--users", type=int, default=2000, help="in each experiment")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep it in loadtests/results")
    options = parser.parse_args()
    result = measure(options.experiments, options.peeked, options.users, options.seed)
    if options.save:
        SAVED.write_text(json.dumps(result, indent=1) + "\n")
    for name in ("coverage", *(name for name in result if name.startswith("false_alarms"))):
        for key, share in sorted(result[name].items()):
            print(f"{name:36} {key:24} {share:.3f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
