"""The common style of a report's plots: the looks of arms, and the axes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from blended.experiments.decision import VERDICT_ON
from blended.experiments.moments import Array

Document = Mapping[str, Any]
Points = Sequence[Mapping[str, float]]

DAY_S = 86400
CONTROL, INK, GREY = "#3b3f46", "#30343b", "#9ca3af"
# Inches: two plots stand side by side on a screen, and one is readable on a phone.
WIDTH = 5.0
LEGEND: Any = {"loc": "outside upper left", "columnspacing": 1.2, "handlelength": 1.5}
# Matplotlib's parameters, for SVGs that are the same each time.
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "blended",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.parse_math": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}

# Okabe and Ito's colours, which colour-blind readers can tell apart, without the yellow that is
# hard to see on white; wine is Tol's.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255")
_MARKERS = "sD^vPX*"
_DAYS = (1, 2, 5, 10, 20, 30)
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
# Longer intervals are cut off: they say little, and would squeeze the others.
_FARTHEST = 3.0


def looks(document: Document) -> dict[str, dict[str, Any]]:
    """The colour and marker of each arm in all plots: arms stay apart on grey paper too."""
    tests = [arm for arm in document["arms"] if arm != document["control"]]
    given = zip(tests, cycle(COLOURS), cycle(_MARKERS))
    found = {arm: {"color": colour, "marker": marker} for arm, colour, marker in given}
    return {**found, document["control"]: {"color": CONTROL, "marker": "o"}}


def measure_label(name: str, document: Document) -> str:
    """A measure's name for people, with the days that the verdict is on."""
    label, window = document["labels"][name], document["window"]
    if name not in VERDICT_ON:
        return str(label)
    return f"{label}, days {window['first']} to {window['seen']}"


def limits(lows: Iterable[float], highs: Iterable[float]) -> tuple[float, float]:
    """The limits of an axis of ratios: 1, and the intervals that are not too long."""
    low = max(min(0.98, *lows), 1 / _FARTHEST)
    high = min(max(1.02, *highs), _FARTHEST)
    margin = (high / low) ** 0.04
    return float(low / margin), float(high * margin)


def label_ratios(axis: Axis, low: float, high: float, label: Callable[[float], str]) -> None:
    """Ticks where people expect them on a log axis: 0.9, 1, 1.1 and so on."""
    step = next((step for step in _STEPS if (high - low) / step <= 6), _STEPS[-1])
    multiples = np.arange(np.ceil(low / step), np.floor(high / step) + 1)
    ticks = [round(float(multiple * step), 6) for multiple in multiples]
    axis.set_ticks(ticks, [label(tick) for tick in ticks])
    axis.set_minor_locator(NullLocator())


def label_days(axes: Axes, document: Document) -> None:
    days, day_s = document["days"], document["day_s"]
    axes.set_xscale("log")
    axes.set_xlim(0.93, max(days, 2) * 1.08)
    ticks = [day for day in _DAYS if day <= max(days, 2)]
    axes.xaxis.set_ticks(ticks, [str(day) for day in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    lasting = "" if day_s == DAY_S else f" (a day lasts {day_s:g} s)"
    axes.set_xlabel(f"Days since joining{lasting}")


def legend(figure: Figure, document: Document, arms: Sequence[str]) -> None:
    look = looks(document)
    handles = [Line2D([], [], ms=4.5, label=arm, **look[arm]) for arm in arms]
    inches = [0.45 + 0.08 * len(arm) for arm in arms]
    columns = len(arms) if sum(inches) < WIDTH else max(1, int(WIDTH / max(inches)))
    figure.legend(handles=handles, ncols=columns, **LEGEND)


def columns(points: Points) -> list[Array]:
    return [np.array([p[name] for p in points]) for name in ("day", "value", "low", "high")]
