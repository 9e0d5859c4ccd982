"""The report on mixes as one HTML file that needs nothing else."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from blended.experiments.plot_style import GREY, INK, STYLE, WIDTH
from blended.html import templates
from blended.learning.learned_document import GRADIENT_STEP, LEFT_OUT

_MINUS = "\N{MINUS SIGN}"


def page(document: Mapping[str, Any]) -> str:
    """The page for a document of learned_document.py."""
    shown = {name: mix for name, mix in document["mixes"].items() if not mix["refused"]}
    return (
        templates(Path(__file__).parent, {"signed": _signed, "number": _number})
        .get_template("page.html")
        .render(
            document,
            shown=shown,
            plot=_plot(document, shown),
            step=GRADIENT_STEP,
            reasons=LEFT_OUT,
        )
    )


def gains(document: Mapping[str, Any], shown: Mapping[str, Any]) -> Figure:
    """What each mix gains over what was drawn, by reward, with always-valid intervals."""
    rewards = list(document["as_drawn"])
    size = (2 * WIDTH, 1.0 + 0.28 * len(shown))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(rewards), sharey=True)
    for place, (reward, ax) in enumerate(zip(rewards, axes, strict=True)):
        ax.axvline(0, color=GREY, lw=1)
        for row, mix in enumerate(shown.values()):
            gain = mix["gain"][reward]
            ax.hlines(row, gain["low"], gain["high"], colors=INK, lw=1.6)
            ax.plot(gain["value"], row, "o", color=INK, ms=5, mec="white")
        ax.set_title(document["labels"][reward])
        ax.set_ylim(len(shown) - 0.5, -0.5)
        ax.locator_params(axis="x", nbins=4)
        if place == 0:
            ax.set_yticks(range(len(shown)), list(shown))
    figure.supxlabel("more than as drawn, per response", size=9.5)
    return figure


@mpl.rc_context(STYLE)
def _plot(document: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    if not shown:
        return ""
    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    gains(document, shown).savefig(written, format="svg", transparent=True, metadata=nothing)
    svg = written.getvalue()
    return svg[svg.index("<svg") :]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def _signed(value: float) -> str:
    # Rounding leaves a little, or a sign before 0, where a mix is what was drawn.
    return f"{round(value, 12) + 0.0:+.3g}".replace("-", _MINUS)
