"""A report's plots as SVG, from the document of report.py; a plot without data is left out.

Text stays text: the reader's fonts draw it, and it can be searched.
"""

import io
import re
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from blended.experiments.calendar_plots import calendar
from blended.experiments.curve_plots import levels, ratios
from blended.experiments.effect_plots import forest, shares
from blended.experiments.measures import GUARDRAILS
from blended.experiments.plot_style import STYLE, Document
from blended.experiments.report import PAPER

TITLES = {
    "calendar": "Joiners and records by day",
    "retention": "Retention by day",
    "engagement": "Engagement by day",
    "retention_ratios": "Retention against control",
    "engagement_ratios": "Engagement against control",
    "goals": "Effects on the goals",
    "guardrails": "Effects on the guardrails",
    "shares": "Components that were drawn",
}
_WARNING = "#b42318"


@mpl.rc_context(STYLE)
def plots(document: Document) -> dict[str, str]:
    """The SVG of each plot that has data, by its name in TITLES."""
    figures = {
        "calendar": calendar(document),
        **{curve: levels(document, curve) for curve in PAPER},
        **{f"{curve}_ratios": ratios(document, curve) for curve in PAPER},
        "goals": forest(document, lambda measure: measure not in GUARDRAILS),
        "guardrails": forest(document, lambda measure: measure in GUARDRAILS),
        "shares": shares(document),
    }
    return {name: _svg(figure, name, document) for name, figure in figures.items() if figure}


def _svg(figure: Figure, name: str, document: Document) -> str:
    """The figure for a page with several figures: as wide as its place, and with unique ids."""
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
