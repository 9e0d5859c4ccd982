"""The report as one HTML file that needs nothing else: neither a network nor scripts."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from blended.experiments.measures import GUARDRAILS, LABELS, MEASURES
from blended.experiments.plot_style import DAY_S, looks, measure_label
from blended.experiments.plots import TITLES, plots
from blended.experiments.quality import MISMATCH_P, TOLERATED
from blended.experiments.report import PAPER
from blended.experiments.shares import FEWEST_USERS
from blended.html import templates

_MEASURE = {measure.name: measure for measure in MEASURES}
_MINUS = "\N{MINUS SIGN}"


def page(document: Mapping[str, Any]) -> str:
    """The page for a document of report.py."""
    measures = _measures(document)
    arms = document["arms"]
    return (
        templates(Path(__file__).parent, _FILTERS)
        .get_template("page.html")
        .render(
            document,
            plots=plots(document),
            titles=TITLES,
            colours={arm: look["color"] for arm, look in looks(document).items()},
            goals=[measure for measure in measures if measure["name"] not in GUARDRAILS],
            guardrails=[measure for measure in measures if measure["name"] in GUARDRAILS],
            lines=_lines(document),
            names={"R(k)": "R(k)", "E(k)": "E(k)", **LABELS},
            enrolled=sum(arm["users"] for arm in arms.values()),
            always_valid=document["interval"] == "always valid",
            other="fixed horizon" if document["interval"] == "always valid" else "always valid",
            level=f"{100 - 100 * document['alpha']:g} %",
            short_day=document["day_s"] != DAY_S,
            mismatch_p=MISMATCH_P,
            tolerated=TOLERATED,
            fewest_users=FEWEST_USERS,
        )
    )


def _measures(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The measures that have an effect, each with its effects by arm."""
    found = document["effects"]
    measures = [
        {
            "name": name,
            "label": measure_label(name, document),
            "better": _MEASURE[name].goal if name in _MEASURE else "lower",
            "caveat": _MEASURE[name].caveat if name in _MEASURE else None,
            "margin": document["margins"].get(name),
            "arms": {arm: _effect(document, of[name]) for arm, of in found.items() if name in of},
        }
        for name in LABELS
    ]
    return [measure for measure in measures if measure["arms"]]


def _effect(document: Mapping[str, Any], effect: Mapping[str, Any]) -> dict[str, Any]:
    """An effect with its intervals: of the lift where there is one, and of the difference."""
    unknown = {"interval": None, "other": None, "is_clear": False}
    lift = _interval(document, effect) if effect["low"] is not None else unknown
    between = effect.get("difference")
    return {**effect, **lift, "between": _interval(document, between) if between else None}


def _lines(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The paper's numbers of each arm, in the order of PAPER, those of lines that fit."""
    order = [name for names in PAPER.values() for name in names]
    return {
        arm: [{"name": n, **_interval(document, numbers[n])} for n in order if n in numbers]
        for arm, numbers in document["paper"].items()
        if numbers
    }


def _interval(document: Mapping[str, Any], number: Mapping[str, Any]) -> dict[str, Any]:
    """The number, the `interval` of the verdict, the `other` one, and whether it is clear."""
    fixed = number["low"], number["high"]
    always = number["always_valid_low"], number["always_valid_high"]
    used, other = (always, fixed) if document["interval"] == "always valid" else (fixed, always)
    return {**number, "interval": used, "other": other, "is_clear": not used[0] <= 0 <= used[1]}


def _moment(iso: str) -> str:
    at = datetime.fromisoformat(iso)
    return f"{at.day} {at:%B %Y}" + ("" if at.time() == at.min.time() else f"{at:, %H:%M:%S}")


def _day(iso: str) -> str:
    at = datetime.fromisoformat(iso)
    return f"{at:%d %b}" if at.time() == at.min.time() else f"{at:%d %b %H:%M}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def _signed(value: float, digits: int = 3) -> str:
    # A number that is rounded to 0 has no sign.
    text = f"{value:+.{digits}f}"
    return text.replace("-", _MINUS) if float(text) else text[1:]


def _lift(value: float | None) -> str:
    return "from nothing" if value is None else _signed(100 * value, 1)


def _points(value: float) -> str:
    return _signed(100 * value, 2)


def _percent(part: float | None) -> str:
    return "none yet" if part is None else f"{100 * part:.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _p_is(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


_FILTERS = {
    "moment": _moment,
    "day": _day,
    "number": _number,
    "signed": _signed,
    "percent": _percent,
    "lift": _lift,
    "points": _points,
    "p": _p,
    "p_is": _p_is,
}
