"""A result as a document: what the report shows, as JSON's types."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from blended.experiments import measures
from blended.experiments.analysis import ExperimentResult
from blended.experiments.checked_responses import MOST_USERS
from blended.experiments.curves import Curve, CurvePoint, RatioLine, RatioPoint
from blended.experiments.decision import decisions
from blended.experiments.definition import ArmDefinition, Definition
from blended.experiments.effects import Effect
from blended.experiments.measures import LABELS, MEASURES
from blended.experiments.mixes_over_time import DrawnMix, by_day, mean_shares
from blended.experiments.remarks import misfits, notes
from blended.experiments.shares import ShareDifference
from blended.experiments.statistics import ALPHA, POWER, Estimate
from blended.experiments.stored_experiments import Realised
from blended.experiments.verdict import verdicts
from blended.experiments.wording import size

# The paper's numbers of each curve: intercept and slope of its log ratio against log k.
PAPER = {
    "retention": ("delta_zeta", "delta_beta"),
    "engagement": ("delta_alpha", "delta_gamma"),
}


@dataclass(frozen=True)
class Report:
    """A result with the draws of each arm, and notes for the reader.

    `mixes` are what adaptive arms drew by, over time.
    """

    result: ExperimentResult
    realised: Mapping[str, Mapping[str, Realised]]
    notes: tuple[str, ...]
    mixes: Mapping[str, Sequence[DrawnMix]] = field(default_factory=dict)


def document(report: Report) -> dict[str, Any]:
    """Everything, as JSON's types; shares are parts of 1, lifts relative, times in UTC."""
    result = report.result
    panel, quality, window = result.panel, result.quality, result.panel.window
    definition = panel.definition
    return {
        "experiment": definition.name,
        "simulated": definition.simulated,
        "version": definition.version,
        "start": _time(definition.start),
        "end": _time(definition.end),
        "planned_end": _time(panel.planned_end or definition.end),
        "until": _time(panel.end),
        "day_s": definition.day_s,
        "utc_offset_h": definition.offset_s / 3600,
        "session_gap_s": definition.session_gap_s,
        "eligible": definition.eligible,
        "control": definition.control,
        "interval": "always valid" if result.always_valid else "fixed horizon",
        "alpha": ALPHA,
        "power": POWER,
        "decisions": {d.arm: {"decision": d.kind, "why": d.why} for d in decisions(result)},
        "verdict": list(verdicts(result)),
        "window": {"first": window.first, "last": window.last, "seen": window.seen},
        "days": result.days,
        "arms": {arm.id: _arm(arm, report) for arm in definition.arms},
        "left_out": {
            "in_two_arms": panel.left_out.crossed,
            "known_before": panel.left_out.known,
            "around_the_clock": dict(panel.left_out.programs),
        },
        "caps": dict(panel.caps),
        "margins": dict(definition.margins),
        "srm": {"p": quality.mismatch_p, "by_day_p": quality.mismatch_by_day_p},
        "quality": {
            "crossed": quality.crossed,
            "orphans": dict(quality.orphans),
            "doubled": dict(quality.doubled),
            "gaps": [_time(definition.time_of(day)) for day in quality.gaps],
            "faults": list(quality.faults),
        },
        "calendar": _calendar(result),
        "withheld": result.is_withheld,
        "curves": {
            c: {a: [_point(p) for p in of] for a, of in arms.items()}
            for c, arms in result.curves.items()
        },
        "ratios": {
            c: {a: [_ratio(p) for p in of] for a, of in arms.items()}
            for c, arms in result.ratios.items()
        },
        "paper": {arm: _paper(lines, result.always_valid) for arm, lines in result.lines.items()},
        "fit": {
            arm: {c: _fit(line) for c, line in lines.items()} for arm, lines in result.lines.items()
        },
        "effects": _effects(result),
        "missing": [*result.missing, *misfits(result)],
        "notes": [
            *notes(result),
            *report.notes,
            *_adaptive(definition),
            *_by_policy(definition),
        ],
        "definitions": definitions(),
        "labels": LABELS,
    }


def definitions() -> dict[str, str]:
    """Every measure's definition."""
    quantiles = {
        name: measures.QUANTILE_DEFINITION.format(share=part, users=MOST_USERS)
        for name, part in measures.QUANTILES.items()
    }
    return {
        "R(k)": measures.RETENTION,
        "E(k)": measures.ENGAGEMENT,
        **{measure.name: measure.definition for measure in MEASURES},
        **quantiles,
    }


def _by_policy(definition: Definition) -> Iterator[str]:
    for arm in definition.arms:
        if arm.policy is not None:
            yield (
                f"The policy {arm.policy} draws for the arm '{arm.id}': the configured "
                "probabilities are those that decide where it fails."
            )


def _arm(arm: ArmDefinition, report: Report) -> dict[str, Any]:
    drawn, mixes = report.realised[arm.id], report.mixes.get(arm.id, ())
    probabilities = mean_shares(mixes) if arm.adaptive else arm.probabilities
    total = sum(r.drawn for r in drawn.values())
    answered = sum(r.answered for r in drawn.values())
    return {
        "users": report.result.users[arm.id],
        "share": arm.share,
        "policy": arm.policy,
        "responses": total,
        "components": {
            component: {
                "probability": probabilities.get(component, 0.0),
                "drawn": r.drawn / total if total else None,
                "answered": r.answered / answered if answered else None,
            }
            for component, r in drawn.items()
        },
        "adaptive": arm.adaptive,
        "mix_by_day": [
            {
                "day": _time(report.result.panel.definition.time_of(mix.day)),
                "responses": mix.responses,
                "shares": dict(mix.shares),
            }
            for mix in by_day(mixes)
        ],
    }


def _adaptive(definition: Definition) -> Iterator[str]:
    for arm in definition.arms:
        if arm.adaptive:
            yield (
                f"The arm '{arm.id}' is adaptive: its shares are those of the blend on each day, "
                "and may have moved. Its effect is that of the procedure, not of one mix."
            )


def _calendar(result: ExperimentResult) -> list[dict[str, Any]]:
    """Joiners, visitors and records of each arm on each day."""
    of = result.panel.calendar
    columns = zip(of.joiners, of.visitors, of.records, strict=True)
    return [
        {
            "day": _time(result.panel.definition.time_of(of.first + number)),
            **{
                kind: dict(zip(result.users, map(int, counts), strict=True))
                for kind, counts in zip(("joiners", "visitors", "records"), row, strict=True)
            },
        }
        for number, row in enumerate(columns)
    ]


def _effects(result: ExperimentResult) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for effect in result.effects:
        found.setdefault(effect.arm, {})[effect.measure] = _effect(effect)
    return found


def _effect(effect: Effect) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "control": effect.control,
        "value": effect.test,
        "lift": effect.lift,
        "p": effect.p,
        "corrected_p": effect.corrected_p,
        "history_adjusted": effect.adjusted,
        "sign": effect.sign,
        "said": size(effect),
        "low": None,
    }
    if effect.ratio is not None:
        shown |= _ends(effect.ratio, math.expm1)
        shown["detectable"] = math.expm1(effect.ratio.detectable(effect.always_valid))
    if effect.difference is not None:
        shown["difference"] = {"value": effect.difference.value, **_ends(effect.difference)}
    return shown


def _ends(
    of: Estimate | ShareDifference, shown: Callable[[float], float] = float
) -> dict[str, float]:
    """The ends of both intervals."""
    low, high = of.interval()
    earliest, latest = of.interval(always_valid=True)
    ends = {"low": low, "high": high, "always_valid_low": earliest, "always_valid_high": latest}
    return {name: shown(end) for name, end in ends.items()}


def _point(point: CurvePoint) -> dict[str, Any]:
    return {
        "day": point.k,
        "value": point.value,
        "low": point.low,
        "high": point.high,
        "users": point.users,
    }


def _ratio(point: RatioPoint) -> dict[str, Any]:
    low, high = point.estimate.interval()
    return {
        "day": point.k,
        "value": math.exp(point.estimate.log),
        "low": math.exp(low),
        "high": math.exp(high),
        "users": point.estimate.users,
    }


def _paper(lines: Mapping[Curve, RatioLine], always_valid: bool) -> dict[str, dict[str, float]]:
    """The paper's numbers of those lines that fit."""
    return {
        name: {
            "value": estimate.log,
            **_ends(estimate),
            "p": estimate.p_value(always_valid),
        }
        for curve, line in lines.items()
        if line.fit.is_good
        for name, estimate in zip(PAPER[curve], (line.intercept, line.slope), strict=True)
    }


def _fit(line: RatioLine) -> dict[str, Any]:
    return {
        "p": line.fit.p,
        "fits": line.fit.is_good,
        "off": [list(days) for days in line.fit.off],
        "first": line.days[0],
        "last": line.days[-1],
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
