"""Plots of the effects of an experiment's arms, and of what was drawn in them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from blended.experiments.plot_style import (
    CONTROL,
    GREY,
    LEGEND,
    WIDTH,
    Document,
    label_ratios,
    legend,
    limits,
    looks,
    measure_label,
)


def forest(document: Document, is_shown: Callable[[str], bool]) -> Figure | None:
    """Lifts with both intervals; measures from top to bottom, and in each the arms."""
    effects = {
        arm: {name: effect for name, effect in found.items() if effect["low"] is not None}
        for arm, found in document["effects"].items()
    }
    shown = [name for name in document["labels"] if is_shown(name)]
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
    legend(figure, document, list(effects))
    return figure


def _effect(axes: Axes, look: Any, effect: Mapping[str, float], row: int, gid: str) -> None:
    for low, high, width in (("always_valid_low", "always_valid_high", 0.9), ("low", "high", 2.6)):
        axes.hlines(row, 1 + effect[low], 1 + effect[high], colors=look["color"], lw=width)
    axes.plot(1 + effect["lift"], row, ms=5.5, mec="white", mew=0.7, gid=gid, **look)


def _label_lifts(axes: Axes, effects: Sequence[Mapping[str, float]]) -> None:
    low, high = limits([1 + e["low"] for e in effects], [1 + e["high"] for e in effects])
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    label_ratios(axes.xaxis, low, high, _percent)
    axes.axvline(1, c=CONTROL, lw=0.9)
    axes.set_xlabel("Lift against control, %")


def _percent(ratio: float) -> str:
    percent = round(100 * ratio - 100, 3)
    return f"{percent:+g}".replace("-", "\N{MINUS SIGN}") if percent else "0"


def shares(document: Document) -> Figure:
    """Drawn shares beside configured ones: below an arm's name, a row for each component."""
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
    bar = Line2D([], [], ls="none", marker="s", c=GREY, ms=7, label="drawn")
    mark = Line2D([], [], ls="none", marker="|", c="black", ms=10, mew=2, label="configured")
    figure.legend(handles=[bar, mark], ncols=2, **LEGEND)
    return figure


def _share(axes: Axes, shares: Mapping[str, Any], row: int, colour: str) -> None:
    axes.barh(row, 100 * (shares["drawn"] or 0), height=0.62, color=colour, alpha=0.55)
    axes.plot(100 * shares["probability"], row, "|", c="black", ms=11, mew=2, clip_on=False)


def _listed(height: float) -> tuple[Figure, Axes]:
    """A figure whose rows have names."""
    figure = Figure((WIDTH, height))
    axes = figure.subplots()
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    return figure, axes
