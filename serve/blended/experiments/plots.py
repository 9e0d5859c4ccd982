"""A report's plots as SVG, from the document of report.py; none where there is nothing to draw.

Each is 5 inches wide, so that two stand side by side on a screen and one is readable on a phone.
Text stays text: the reader's fonts draw it, and it can be searched for.
"""

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from blended.experiments.metrics import MEASURES
from blended.experiments.moments import Array
from blended.experiments.report import labels

Document = Mapping[str, Any]
Points = Sequence[Mapping[str, float]]

TITLES = {
    "retention": "Retention by day",
    "engagement": "Engagement by day",
    "retention_ratios": "Retention against control",
    "engagement_ratios": "Engagement against control",
    "goals": "Effects on the goals",
    "guardrails": "Effects on the guardrails",
    "shares": "Components that were drawn",
}
# The paper's numbers of each curve: intercept and slope of its log ratio against log k.
LINES = {
    "retention": ("delta_zeta", "delta_beta"),
    "engagement": ("delta_alpha", "delta_gamma"),
}
DAY_S = 86400
GUARDRAILS = frozenset(measure.name for measure in MEASURES if measure.is_guardrail)

_CONTROL = "#3b3f46"
# Okabe and Ito's colours for all eyes, less the yellow that white paper swallows; wine is Tol's.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255")
_MARKERS = "sD^vPX*"
_INK, _GREY, _WARNING = "#30343b", "#9ca3af", "#b42318"
_WIDTH = 5.0
_DAYS = (1, 2, 5, 10, 20, 30)
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
# Of ratios that reach farther only a part is drawn: they say little, and would squeeze the others.
_FARTHEST = 3.0
_LEGEND: Any = {"loc": "outside upper left", "columnspacing": 1.2, "handlelength": 1.5}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "blended",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.parse_math": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": _INK,
    "axes.edgecolor": _GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.7,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@mpl.rc_context(_STYLE)
def plots(document: Document) -> dict[str, str]:
    """The SVG of each plot that there is something for, by its name in TITLES."""
    figures = {
        **{curve: _levels(document, curve) for curve in LINES},
        **{f"{curve}_ratios": _ratios(document, curve) for curve in LINES},
        "goals": _forest(document, lambda measure: measure not in GUARDRAILS),
        "guardrails": _forest(document, lambda measure: measure in GUARDRAILS),
        "shares": _shares(document),
    }
    return {name: _svg(figure, name, document) for name, figure in figures.items() if figure}


def looks(document: Document) -> dict[str, dict[str, Any]]:
    """The colour and marker of each arm in all plots: arms stay apart on grey paper too."""
    tests = [arm for arm in document["arms"] if arm != document["control"]]
    given = zip(tests, cycle(_COLOURS), cycle(_MARKERS))
    found = {arm: {"color": colour, "marker": marker} for arm, colour, marker in given}
    return {**found, document["control"]: {"color": _CONTROL, "marker": "o"}}


def _levels(document: Document, curve: str) -> Figure | None:
    """R(k) or E(k) of every arm."""
    arms = document["curves"][curve]
    if document["withheld"] or not document["days"]:
        return None
    scale, label = _scale(curve, [p["value"] for points in arms.values() for p in points])
    figure = Figure((_WIDTH, 3.7))
    axes = figure.subplots()
    # The band of a single day has no width: its edge shows it.
    band: Any = {"alpha": 0.14, "lw": 1.5 if document["days"] == 1 else 0}
    for arm, look in looks(document).items():
        day, value, low, high = _columns(arms[arm])
        filled = axes.fill_between(day, low * scale, high * scale, color=look["color"], **band)
        filled.set_gid(f"band-{arm}")
        axes.plot(day, value * scale, ms=3, lw=1.1, gid=f"arm-{arm}", **look)
    _label_days(axes, document)
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter("{x:g}")
    _legend(figure, document, list(document["arms"]))
    return figure


def _scale(curve: str, values: Iterable[float]) -> tuple[float, str]:
    if curve == "retention":
        return 100.0, "R(k), % of users"
    if max(values) >= 180:
        return 1 / 60, "E(k), minutes"
    return 1.0, "E(k), seconds"


def _ratios(document: Document, curve: str) -> Figure | None:
    """The ratios of one curve: a panel for each arm, all to the same scale."""
    arms = document["ratios"].get(curve, {})
    if not arms or not document["days"]:
        return None
    figure = Figure((_WIDTH, 0.75 + 1.75 * len(arms)))
    panels = figure.subplots(len(arms), sharex=True, sharey=True, squeeze=False)[:, 0]
    low, high = _seen([point for points in arms.values() for point in points])
    for axes, (arm, points) in zip(panels, arms.items(), strict=True):
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        _label_ratios(axes.yaxis, low, high, "{:.4g}".format)
        _ratio(axes, looks(document)[arm], arm, points)
        _line(axes, document, curve, arm)
        axes.set_title(arm, color=_INK)
    _label_days(panels[-1], document)
    letter = "R" if curve == "retention" else "E"
    figure.supylabel(f"{letter}(k) over that of {document['control']}", size=9.5, color=_INK)
    return figure


def _seen(points: Points) -> tuple[float, float]:
    """The limits for ratios: every point, and most bars whole; few users make some very long."""
    _, value, low, high = _columns(points)
    return _limits([*np.quantile(low, [0.1]), *value], [*np.quantile(high, [0.9]), *value])


def _ratio(axes: Axes, look: Any, arm: str, points: Points) -> None:
    day, value, low, high = _columns(points)
    axes.axhline(1, c=_CONTROL, lw=0.9)
    bars = axes.vlines(day, low, high, colors=look["color"], lw=1.1, alpha=0.5)
    bars.set_gid(f"bars-{arm}")
    axes.plot(day, value, ls="none", ms=3.5, gid=f"arm-{arm}", **look)


def _line(axes: Axes, document: Document, curve: str, arm: str) -> None:
    """The fitted line, where there is one."""
    numbers = document["paper"].get(arm)
    if numbers is None:
        return
    intercept, slope = (numbers[name]["value"] for name in LINES[curve])
    day = np.array([1.0, document["days"]])
    fitted = np.exp(intercept + slope * np.log(day))
    axes.plot(day, fitted, c=looks(document)[arm]["color"], lw=2, gid=f"line-{arm}")


def _forest(document: Document, is_shown: Callable[[str], bool]) -> Figure | None:
    """Lifts with both intervals; measures from top to bottom, and in each the arms."""
    effects = document["effects"]
    shown = [name for name in labels() if is_shown(name)]
    measures = [name for name in shown if any(name in found for found in effects.values())]
    if not measures:
        return None
    height = len(effects) + 1
    figure, axes = _listed(1.1 + 0.17 * height * len(measures))
    drawn = [
        (group * height + row, measure, arm)
        for group, measure in enumerate(measures)
        for row, arm in enumerate(effects)
        if measure in effects[arm]
    ]
    for row, measure, arm in drawn:
        gid = f"{measure}-{arm}"
        _effect(axes, looks(document)[arm], effects[arm][measure], row, gid)
    _label_lifts(axes, [effects[arm][measure] for _, measure, arm in drawn])
    middles = [group * height + height / 2 - 1 for group in range(len(measures))]
    axes.set_yticks(middles, [measure_label(name, document) for name in measures])
    axes.set_ylim(height * len(measures) - 1, -1)
    _legend(figure, document, list(effects))
    return figure


def _effect(axes: Axes, look: Any, effect: Mapping[str, float], row: int, gid: str) -> None:
    for low, high, width in (("always_valid_low", "always_valid_high", 0.9), ("low", "high", 2.6)):
        axes.hlines(row, 1 + effect[low], 1 + effect[high], colors=look["color"], lw=width)
    axes.plot(1 + effect["lift"], row, ms=5.5, mec="white", mew=0.7, gid=gid, **look)


def _label_lifts(axes: Axes, effects: Sequence[Mapping[str, float]]) -> None:
    low, high = _limits([1 + e["low"] for e in effects], [1 + e["high"] for e in effects])
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    _label_ratios(axes.xaxis, low, high, _percent)
    axes.axvline(1, c=_CONTROL, lw=0.9)
    axes.set_xlabel("Lift against control, %")


def _percent(ratio: float) -> str:
    percent = round(100 * ratio - 100, 3)
    return f"{percent:+g}".replace("-", "\N{MINUS SIGN}") if percent else "0"


def _shares(document: Document) -> Figure:
    """What was drawn beside what was configured: below an arm's name, a row for each component."""
    rows: list[tuple[str, str | None]] = []
    for arm, found in document["arms"].items():
        occurring = [name for name, shares in found["components"].items() if any(shares.values())]
        rows += [(arm, None), *((arm, name) for name in occurring)]
    figure, axes = _listed(0.8 + 0.23 * len(rows))
    axes.set_yticks(range(len(rows)), [component or arm for arm, component in rows])
    for row, ((arm, component), label) in enumerate(zip(rows, axes.get_yticklabels(), strict=True)):
        if component is None:
            label.set(fontweight="bold", gid=f"arm-{arm}")
        else:
            shares = document["arms"][arm]["components"][component]
            _share(axes, shares, row, looks(document)[arm]["color"])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("Responses of the arm, %")
    bar = Line2D([], [], ls="none", marker="s", c=_GREY, ms=7, label="drawn")
    mark = Line2D([], [], ls="none", marker="|", c="black", ms=10, mew=2, label="configured")
    figure.legend(handles=[bar, mark], ncols=2, **_LEGEND)
    return figure


def _share(axes: Axes, shares: Mapping[str, Any], row: int, colour: str) -> None:
    axes.barh(row, 100 * (shares["drawn"] or 0), height=0.62, color=colour, alpha=0.55)
    axes.plot(100 * shares["probability"], row, "|", c="black", ms=11, mew=2, clip_on=False)


def _listed(height: float) -> tuple[Figure, Axes]:
    """A figure whose rows have names."""
    figure = Figure((_WIDTH, height))
    axes = figure.subplots()
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    return figure, axes


def measure_label(name: str, document: Document) -> str:
    """A measure's name for people; of curves the effect is that on the last day."""
    return labels()[name].replace("(k)", f"({document['days']})")


def _limits(lows: Iterable[float], highs: Iterable[float]) -> tuple[float, float]:
    """What an axis of ratios shows: 1, and the intervals as far as they are not too long."""
    low = max(min(0.98, *lows), 1 / _FARTHEST)
    high = min(max(1.02, *highs), _FARTHEST)
    margin = (high / low) ** 0.04
    return float(low / margin), float(high * margin)


def _label_ratios(axis: Axis, low: float, high: float, label: Callable[[float], str]) -> None:
    """Ticks where people expect them on a log axis: 0.9, 1, 1.1 and so on."""
    step = next((step for step in _STEPS if (high - low) / step <= 6), _STEPS[-1])
    multiples = np.arange(np.ceil(low / step), np.floor(high / step) + 1)
    ticks = [round(float(multiple * step), 6) for multiple in multiples]
    axis.set_ticks(ticks, [label(tick) for tick in ticks])
    axis.set_minor_locator(NullLocator())


def _label_days(axes: Axes, document: Document) -> None:
    days, day_s = document["days"], document["day_s"]
    axes.set_xscale("log")
    axes.set_xlim(0.93, max(days, 2) * 1.08)
    ticks = [day for day in _DAYS if day <= max(days, 2)]
    axes.xaxis.set_ticks(ticks, [str(day) for day in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    lasting = "" if day_s == DAY_S else f" (a day lasts {day_s:g} s)"
    axes.set_xlabel(f"Days since joining{lasting}")


def _legend(figure: Figure, document: Document, arms: Sequence[str]) -> None:
    look = looks(document)
    handles = [Line2D([], [], ms=4.5, label=arm, **look[arm]) for arm in arms]
    inches = [0.45 + 0.08 * len(arm) for arm in arms]
    columns = len(arms) if sum(inches) < _WIDTH else max(1, int(_WIDTH / max(inches)))
    figure.legend(handles=handles, ncols=columns, **_LEGEND)


def _columns(points: Points) -> list[Array]:
    return [np.array([p[name] for p in points]) for name in ("day", "value", "low", "high")]


def _svg(figure: Figure, name: str, document: Document) -> str:
    """The figure to stand inside a page that has others: as wide as its place, and with own ids."""
    if document["simulated"]:
        mark: Any = {"rotation": 24, "size": 44, "weight": "bold", "color": _WARNING, "alpha": 0.1}
        figure.text(0.5, 0.5, "SIMULATED", ha="center", va="center", **mark)
    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    title = escape(TITLES[name])
    return svg.replace(">", f' role="img"><title>{title}</title>', 1)
