"""The report as one HTML file that needs nothing else: neither a network nor scripts."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from blended.experiments.analysis import MISMATCH_P
from blended.experiments.curve_plots import LINES
from blended.experiments.curves import FEWEST_USERS
from blended.experiments.measures import GUARDRAILS, MEASURES
from blended.experiments.plot_style import DAY_S, looks, measure_label
from blended.experiments.plots import TITLES, plots
from blended.experiments.report import labels
from blended.html import templates

_BETTER = {measure.name: measure.goal for measure in MEASURES}
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
            names=labels(),
            enrolled=sum(arm["users"] for arm in arms.values()),
            always_valid=document["interval"] == "always valid",
            other="fixed horizon" if document["interval"] == "always valid" else "always valid",
            level=f"{100 - 100 * document['alpha']:g} %",
            short_day=document["day_s"] != DAY_S,
            mismatch_p=MISMATCH_P,
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
            "better": _BETTER.get(name, "higher"),
            "arms": {arm: _interval(document, of[name]) for arm, of in found.items() if name in of},
        }
        for name in labels()
    ]
    return [measure for measure in measures if measure["arms"]]


def _lines(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The paper's numbers of each arm, in the order of LINES."""
    order = [name for names in LINES.values() for name in names]
    return {
        arm: [{"name": name, **_interval(document, numbers[name])} for name in order]
        for arm, numbers in document["paper"].items()
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


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def _signed(value: float, digits: int = 3) -> str:
    # A number that is rounded to 0 has no sign.
    text = f"{value:+.{digits}f}"
    return text.replace("-", _MINUS) if float(text) else text[1:]


def _lift(value: float) -> str:
    return _signed(100 * value, 1)


def _percent(part: float | None) -> str:
    return "none yet" if part is None else f"{100 * part:.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


_FILTERS = {
    "moment": _moment,
    "number": _number,
    "signed": _signed,
    "percent": _percent,
    "lift": _lift,
    "p": _p,
}
