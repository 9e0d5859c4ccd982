"""The report of a rehearsal, as text and as JSON."""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import numpy as np
from rich.table import Table

from loadtests.harness.percentiles import quantiles
from loadtests.studies.population.drive import RequestCounts
from loadtests.studies.population.habits import ArmEffect
from loadtests.studies.population.users import Population

SIMULATED = "SIMULATED: nobody in this experiment is a person."

_CONTRASTS = {"delta_zeta": "Δζ", "delta_beta": "Δβ", "delta_alpha": "Δα", "delta_gamma": "Δγ"}

Truth = Mapping[str, Mapping[str, float]]
Counts = Mapping[str, Mapping[str, int]]


def truth(effects: Sequence[ArmEffect], control: str) -> Truth:
    """The effects that an analysis should find, by arm: the contrasts to control in the logarithms.

    log R(k) differs by delta_zeta + delta_beta log k, log E(k) by delta_alpha + delta_gamma log k,
    for all k >= 1.
    """
    base = next(effect for effect in effects if effect.name == control)
    return {
        effect.name: {
            "delta_zeta": log(effect.retention / base.retention),
            "delta_beta": effect.retention_decay - base.retention_decay,
            "delta_alpha": log(effect.engagement / base.engagement),
            "delta_gamma": effect.engagement_decay - base.engagement_decay,
        }
        for effect in effects
    }


def counts(population: Population, effects: Sequence[ArmEffect]) -> Counts:
    """How many users each arm has, and how many days they are active."""
    active = population.activity.active.sum(axis=1)
    size = len(effects)
    users = np.bincount(population.arm, minlength=size)
    days = np.bincount(population.arm, weights=active, minlength=size)
    rows = zip(effects, users.tolist(), days.tolist(), strict=True)
    return {effect.name: {"users": n, "active_days": round(d)} for effect, n, d in rows}


def table(counted: Counts, true: Truth) -> Table:
    """Every arm: its users and active days, and its true effects."""
    names = next(iter(counted.values()))
    columns = (name.replace("_", " ") for name in names)
    made = Table("arm", *columns, *_CONTRASTS.values(), title="true effects", title_justify="left")
    for arm, contrasts in true.items():
        numbers = (f"{number:,}" for number in counted[arm].values())
        made.add_row(arm, *numbers, *(f"{contrasts[name]:+.4f}" for name in _CONTRASTS))
    return made


def driven(tally: RequestCounts, day_s: float) -> dict[str, Any]:
    """The outcome of a drive; delays are in seconds, the worst one also in days."""
    worst_s = max(tally.late_s, default=0.0)
    return {
        "requests": tally.requests,
        "finished": tally.finished,
        "failed": tally.requests - tally.finished,
        "failures": dict(tally.failures),
        "late_s": {**(quantiles(tally.late_s) or {"p50": 0.0, "p99": 0.0}), "max": worst_s},
        "late_days_max": worst_s / day_s,
        "day_s": day_s,
    }


def complaint(result: Mapping[str, Any]) -> str | None:
    """The reason why a drive is not valid, in a sentence; None if it is valid."""
    late_s, day_s = result["late_s"]["p50"], result["day_s"]
    if late_s > day_s / 2:
        return (
            f"The clock was too fast: half of the requests were at least {late_s:.1f} s late, "
            f"of days of {day_s:g} s; give longer days, or fewer users."
        )
    if not result["finished"]:
        return "No request was answered; see that the blend runs, and that the key is its own."
    return None
