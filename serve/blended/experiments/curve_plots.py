"""Plots of retention and engagement by day: of each arm, and against control."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blended.experiments.plot_style import (
    CONTROL,
    INK,
    WIDTH,
    Document,
    Points,
    columns,
    label_days,
    label_ratios,
    legend,
    limits,
    looks,
)
from blended.experiments.report import PAPER


def levels(document: Document, curve: str) -> Figure | None:
    """R(k) or E(k) of every arm."""
    arms = document["curves"][curve]
    last = max((points[-1]["day"] for points in arms.values() if points), default=0)
    if document["withheld"] or not last:
        return None
    scale, label = _scale(curve, [p["value"] for points in arms.values() for p in points])
    figure = Figure((WIDTH, 3.7))
    axes = figure.subplots()
    # The band of a single day has no width: its edge shows it.
    band: Any = {"alpha": 0.14, "lw": 1.5 if last == 1 else 0}
    for arm, look in looks(document).items():
        day, value, low, high = columns(arms[arm])
        filled = axes.fill_between(day, low * scale, high * scale, color=look["color"], **band)
        filled.set_gid(f"band-{arm}")
        axes.plot(day, value * scale, ms=3, lw=1.1, gid=f"arm-{arm}", **look)
    label_days(axes, document)
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter("{x:g}")
    legend(figure, document, list(document["arms"]))
    return figure


def _scale(curve: str, values: Iterable[float]) -> tuple[float, str]:
    if curve == "retention":
        return 100.0, "R(k), % of users"
    if max(values) >= 180:
        return 1 / 60, "E(k), minutes"
    return 1.0, "E(k), seconds"


def ratios(document: Document, curve: str) -> Figure | None:
    """The ratios of one curve: a panel for each arm, all to the same scale."""
    arms = document["ratios"].get(curve, {})
    if not any(arms.values()):
        return None
    figure = Figure((WIDTH, 0.75 + 1.75 * len(arms)))
    panels = figure.subplots(len(arms), sharex=True, sharey=True, squeeze=False)[:, 0]
    low, high = _seen([point for points in arms.values() for point in points])
    for axes, (arm, points) in zip(panels, arms.items(), strict=True):
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        label_ratios(axes.yaxis, low, high, "{:.4g}".format)
        _ratio(axes, looks(document)[arm], arm, points)
        _line(axes, document, curve, arm)
        axes.set_title(arm, color=INK)
    label_days(panels[-1], document)
    letter = "R" if curve == "retention" else "E"
    figure.supylabel(f"{letter}(k) over that of {document['control']}", size=9.5, color=INK)
    return figure


def _seen(points: Points) -> tuple[float, float]:
    """The limits for ratios: every point, and most bars whole; few users make some very long."""
    _, value, low, high = columns(points)
    return limits([*np.quantile(low, [0.1]), *value], [*np.quantile(high, [0.9]), *value])


def _ratio(axes: Axes, look: Any, arm: str, points: Points) -> None:
    day, value, low, high = columns(points)
    axes.axhline(1, c=CONTROL, lw=0.9)
    bars = axes.vlines(day, low, high, colors=look["color"], lw=1.1, alpha=0.5)
    bars.set_gid(f"bars-{arm}")
    axes.plot(day, value, ls="none", ms=3.5, gid=f"arm-{arm}", **look)


def _line(axes: Axes, document: Document, curve: str, arm: str) -> None:
    """The fitted line, where there is one that fits."""
    numbers = document["paper"].get(arm, {})
    if not numbers.keys() >= set(PAPER[curve]):
        return
    intercept, slope = (numbers[name]["value"] for name in PAPER[curve])
    fit = document["fit"][arm][curve]
    day = np.array([fit["first"], fit["last"]], dtype=float)
    fitted = np.exp(intercept + slope * np.log(day))
    axes.plot(day, fitted, c=looks(document)[arm]["color"], lw=2, gid=f"line-{arm}")
