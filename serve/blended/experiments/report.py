"""A result as a document: what the report shows, as JSON's types."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from blended.experiments import measures
from blended.experiments.analysis import Effect, ExperimentResult, Lines
from blended.experiments.curves import CurvePoint
from blended.experiments.definition import ArmDefinition
from blended.experiments.measures import MEASURES
from blended.experiments.statistics import ALPHA, Estimate
from blended.experiments.stored_experiments import Realised
from blended.experiments.verdict import verdicts

_PAPER = ("delta_zeta", "delta_beta", "delta_alpha", "delta_gamma")


@dataclass(frozen=True)
class Report:
    """A result with the draws of each arm, and notes for the reader."""

    result: ExperimentResult
    realised: Mapping[str, Mapping[str, Realised]]
    notes: tuple[str, ...]


def document(report: Report) -> dict[str, Any]:
    """Everything, as JSON's types; shares are parts of 1, lifts relative, times in UTC."""
    result = report.result
    definition = result.definition
    return {
        "experiment": definition.name,
        "simulated": definition.simulated,
        "version": definition.version,
        "start": _time(definition.start),
        "end": _time(definition.end),
        "until": _time(result.end_day * definition.day_s),
        "day_s": definition.day_s,
        "session_gap_s": definition.session_gap_s,
        "eligible": definition.eligible,
        "control": definition.control,
        "interval": "always valid" if result.always_valid else "fixed horizon",
        "alpha": ALPHA,
        "days": result.days,
        "arms": {arm.id: _arm(arm, report) for arm in definition.arms},
        "left_out": {"in_two_arms": result.crossed, "known_before": result.known},
        "srm": {"p": result.mismatch_p, "mismatch": result.is_withheld},
        "withheld": result.is_withheld,
        "curves": {c: _points(arms) for c, arms in result.curves.items()},
        "ratios": {c: _points(arms) for c, arms in result.ratios.items()},
        "paper": {
            found.arm: {
                name: _number(estimate, result.always_valid)
                for name, estimate in zip(_PAPER, _four(found), strict=True)
            }
            for found in result.lines
        },
        "effects": _effects(result),
        "verdict": list(verdicts(result)),
        "missing": list(result.missing),
        "notes": list(report.notes),
        "definitions": definitions(),
        "labels": labels(),
    }


def definitions() -> dict[str, str]:
    """Every measure's definition."""
    return {
        "retention": measures.RETENTION,
        "engagement": measures.ENGAGEMENT,
        **{measure.name: measure.definition for measure in MEASURES},
    }


def labels() -> dict[str, str]:
    """Every measure's name for people."""
    return {
        "retention": "Retention R(k)",
        "engagement": "Engagement E(k) (s)",
        **{measure.name: measure.label for measure in MEASURES},
    }


def _arm(arm: ArmDefinition, report: Report) -> dict[str, Any]:
    drawn = report.realised[arm.id]
    total = sum(r.drawn for r in drawn.values())
    answered = sum(r.answered for r in drawn.values())
    return {
        "users": report.result.users[arm.id],
        "share": arm.share,
        "responses": total,
        "components": {
            component: {
                "probability": arm.probabilities[component],
                "drawn": r.drawn / total if total else None,
                "answered": r.answered / answered if answered else None,
            }
            for component, r in drawn.items()
        },
    }


def _effects(result: ExperimentResult) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for effect in result.effects:
        found.setdefault(effect.arm, {})[effect.measure] = _effect(effect)
    return found


def _effect(effect: Effect) -> dict[str, Any]:
    low, high = effect.ratio.interval()
    earliest, latest = effect.ratio.interval(always_valid=True)
    return {
        "control": math.exp(effect.control.log),
        "value": math.exp(effect.test.log),
        "lift": math.expm1(effect.ratio.log),
        "low": math.expm1(low),
        "high": math.expm1(high),
        "always_valid_low": math.expm1(earliest),
        "always_valid_high": math.expm1(latest),
        "p": effect.p,
        "corrected_p": effect.corrected_p,
        "history_adjusted": effect.adjusted,
    }


def _points(arms: Mapping[str, Iterable[CurvePoint]]) -> dict[str, list[dict[str, Any]]]:
    return {arm: [_point(point) for point in points] for arm, points in arms.items()}


def _point(point: CurvePoint) -> dict[str, Any]:
    low, high = point.estimate.interval()
    return {
        "day": point.k,
        "value": math.exp(point.estimate.log),
        "low": math.exp(low),
        "high": math.exp(high),
        "users": point.estimate.users,
    }


def _four(found: Lines) -> list[Estimate]:
    lines = (found.retention, found.engagement)
    return [estimate for line in lines for estimate in (line.intercept, line.slope)]


def _number(estimate: Estimate, always_valid: bool) -> dict[str, float]:
    low, high = estimate.interval()
    earliest, latest = estimate.interval(always_valid=True)
    return {
        "value": estimate.log,
        "low": low,
        "high": high,
        "always_valid_low": earliest,
        "always_valid_high": latest,
        "p": estimate.p_value(always_valid),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
