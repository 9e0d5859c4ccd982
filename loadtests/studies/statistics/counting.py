"""Counts how often intervals hold the truth, and how often arms without a difference differ."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from blended.experiments.analysis import ExperimentResult, analyse
from blended.experiments.curves import CURVES
from blended.experiments.decision import decisions
from blended.experiments.panel import ExperimentPanel
from blended.experiments.report import PAPER
from blended.experiments.statistics import ALPHA, Estimate
from loadtests.studies.population.habits import DAY_S
from loadtests.studies.statistics.people import people
from loadtests.studies.statistics.worlds import DAYS, SHOWN_DAYS, World

Held = tuple[str, tuple[float, float], float]


@dataclass(frozen=True)
class Coverage:
    """How often the checks of the data withheld a result; and by what is estimated, how often the
    others reported it, and how often it then held the truth."""

    withheld: float
    held: Mapping[str, float]
    reported: Mapping[str, float]


def coverage(world: World, experiments: int, rng: np.random.Generator) -> Coverage:
    """How often intervals for a fixed time hold the truth."""
    held = defaultdict[str, list[bool]](list)
    withheld = 0
    for _ in range(experiments):
        result = analyse(people(world, rng).panel(DAYS), DAYS * DAY_S)
        withheld += result.is_withheld
        for name, (low, high), truth in _intervals(world, result):
            held[name].append(low <= truth <= high)
    shown = experiments - withheld
    return Coverage(
        withheld / experiments,
        {name: float(np.mean(values)) for name, values in held.items()},
        {name: len(values) / shown / _arms(name) for name, values in held.items()},
    )


def _arms(name: str) -> int:
    """Curves have an interval for each arm, everything else one."""
    return 2 if name.startswith("curve") else 1


def _intervals(world: World, result: ExperimentResult) -> Iterator[Held]:
    """Everything that is estimated of curves, lines and the verdict, with the truth."""
    truth = world.truth()
    for curve in CURVES if not result.is_withheld else ():
        for arm, points in result.curves[curve].items():
            for p in points:
                if p.k in SHOWN_DAYS:
                    yield f"curve_{curve}_{p.k}", (p.low, p.high), world.curve(curve, arm, p.k)
        for of in result.ratios[curve]["test"]:
            if of.k in SHOWN_DAYS:
                values = [world.curve(curve, arm, of.k) for arm in ("test", "control")]
                ratio = math.log(values[0] / values[1])
                yield f"ratio_{curve}_{of.k}", of.estimate.interval(), ratio
    # Where the ratios bend, no line is the truth.
    for name, line in lines(result).items() if world.novelty == 1 else ():
        yield name, line.interval(), truth[name]
    for effect in result.effects:
        if effect.measure in truth and effect.ratio is not None:
            yield effect.measure, effect.ratio.interval(), truth[effect.measure]


def lines(result: ExperimentResult) -> dict[str, Estimate]:
    """The paper's numbers, those of lines that fit."""
    return {
        name: number
        for curve, line in result.lines.get("test", {}).items()
        if line.fit.is_good
        for name, number in zip(PAPER[curve], (line.intercept, line.slope), strict=True)
    }


def false_alarms(world: World, experiments: int, rng: np.random.Generator) -> dict[str, float]:
    """How often arms without a difference are called different, looking once at the end.

    `naive_*` take the days of users to be independent, `decision_*` are the decisions, and
    `misfit_*` the lines that are withheld though they are straight.
    """
    alarms = Counter[str]()
    for _ in range(experiments):
        panel = people(world, rng).panel(DAYS)
        result = analyse(panel, DAYS * DAY_S)
        for name, p in (_p_values(result, always_valid=False) | _naive(panel)).items():
            alarms[name] += p < ALPHA
        alarms.update(f"decision_{decided.kind}" for decided in decisions(result))
        alarms.update(
            f"misfit_{curve}"
            for curve, line in result.lines.get("test", {}).items()
            if not line.fit.is_good
        )
    return {name: count / experiments for name, count in alarms.items()}


def _p_values(result: ExperimentResult, always_valid: bool) -> dict[str, float]:
    """The p value of every difference that a result shows."""
    found: dict[str, float] = {}
    for effect in result.effects:
        shown = effect.ratio if effect.ratio is not None else effect.difference
        assert shown is not None, "every effect has a ratio or a difference"
        found[effect.measure] = shown.p_value(always_valid)
    return found | {name: of.p_value(always_valid) for name, of in lines(result).items()}


def _naive(panel: ExperimentPanel) -> dict[str, float]:
    """The p values of two measures as if every user-day belonged to another user."""
    arms = []
    for arm in (1, 0):
        days = float((panel.end_day - panel.joined[panel.arm == arm]).sum())
        seconds = panel.seconds[panel.arm[panel.user] == arm]
        share = len(seconds) / days
        mean, square = seconds.sum() / days, (seconds**2).sum() / days
        variance = np.array([(1 - share) / share, square / mean**2 - 1]) / days
        arms.append((np.log([share, mean]), variance, round(days)))
    (test, test_variance, days), (control, variance, more) = arms
    logs, errors = test - control, np.sqrt(test_variance + variance)
    names = ("naive_active_days", "naive_time_per_day")
    return {
        name: Estimate(float(log), float(se), round(days) + more).p_value()
        for name, log, se in zip(names, logs, errors, strict=True)
    }


@dataclass(frozen=True)
class Peeking:
    """How often a measure was called different on any of the days, by the kind of interval."""

    always_valid: Mapping[str, float]
    fixed_horizon: Mapping[str, float]


def peeking(
    world: World, experiments: int, rng: np.random.Generator, is_moved: bool = False
) -> Peeking:
    """Look every day from the fifth, and stop at the first apparent difference.

    If the end `is_moved`, every look is at an experiment whose end was brought forward to that day:
    whoever chooses among the days afterwards gains nothing by it.
    """
    alarms = {True: Counter[str](), False: Counter[str]()}
    names = set[str]()
    for _ in range(experiments):
        folk = people(world, rng)
        called = {True: set[str](), False: set[str]()}
        for until in range(5, DAYS if is_moved else DAYS + 1):
            result = analyse(folk.panel(until, is_moved), until * DAY_S if is_moved else 0)
            assert result.always_valid, "no look before the planned end is the one look"
            for always_valid, found in called.items():
                p_values = _p_values(result, always_valid)
                names.update(p_values)
                found.update(name for name, p in p_values.items() if p < ALPHA)
        for always_valid, found in called.items():
            alarms[always_valid].update(found)
    shares = {kind: {n: count[n] / experiments for n in names} for kind, count in alarms.items()}
    return Peeking(shares[True], shares[False])
