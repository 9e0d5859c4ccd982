"""The plots of a report as SVG; a plot without data is left out."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from blended.experiments.plot_style import GREY, INK, LEGEND, STYLE, WIDTH
from loadtests.users import run_summary

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
_COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", "#56b4e9")
TITLES = {
    "load": "Latency and goodput against load",
    "time": "Latency and goodput over time",
    "turns": "First tokens by turn",
    "shares": "Shares of components",
    "memory": "Memory",
}
# Of a soak's processes, those that grow most are drawn.
_DRAWN = 6

Document = Mapping[str, Any]


@mpl.rc_context(STYLE)
def plots(
    run: Document, search: Document | None, processes: Sequence[Document], weights: Document
) -> dict[str, str]:
    """The SVG of each plot that has data, by its name."""
    found = {
        "load": _load(search) if search and run_summary.is_search(search) else None,
        "time": _time(search) if search and not run_summary.is_search(search) else None,
        "turns": _turns(run),
        "shares": _shares(run, weights),
        "memory": _memory(processes),
    }
    return {name: _svg(figure, name) for name, figure in found.items() if figure}


def _load(search: Document) -> Figure | None:
    """TTFT, TPOT and goodput of the parts of a run, by their load, with the knee."""
    parts = sorted(_measured(search), key=lambda part: part["responses_per_s"])
    if len(parts) < 2:
        return None
    loads = [part["responses_per_s"] for part in parts]
    figure, panels = _panels(search, parts, loads, "Responses begun per second")
    _mark_knee(panels, search["knee"])
    return _with_legend(figure, panels)


def _time(search: Document) -> Figure | None:
    """TTFT, TPOT and goodput of the parts of a run, in their order."""
    parts = _measured(search)
    if len(parts) < 2:
        return None
    minutes = [part["from_s"] / 60 for part in parts]
    return _with_legend(*_panels(search, parts, minutes, "Minutes of the run"))


def _measured(search: Document) -> list[Document]:
    return [part for part in search["parts"] if part["ttft_ms"] and part["tpot_ms"]]


def _panels(
    search: Document, parts: Sequence[Document], places: Sequence[float], label: str
) -> tuple[Figure, tuple[Axes, ...]]:
    """The three panels, each with the bound of the level."""
    figure = Figure((WIDTH, 5.4))
    first, between, good = figure.subplots(3, sharex=True, height_ratios=(3, 2, 2))
    for axes, name in ((first, "ttft_ms"), (between, "tpot_ms")):
        for share, colour in (("p50", BLUE), ("p99", ORANGE)):
            times = [part[name][share] for part in parts]
            axes.plot(places, times, "o-", c=colour, ms=4, label=share)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g}"))
        axes.yaxis.set_minor_formatter("")
    first.set_ylabel("First token, ms")
    between.set_ylabel("Between, ms")
    good.plot(places, [100 * (part["goodput"] or 0) for part in parts], "o-", c=GREEN, ms=4)
    good.set_ylim(None, 101)
    good.set_ylabel("Goodput, %")
    good.set_xlabel(label)
    level = search["level"]
    for axes, bound in ((first, level["first_token_ms"]), (between, level["between_tokens_ms"])):
        if bound:
            axes.axhline(bound, c=GREY, lw=1, ls="--")
    good.axhline(100 * level["goodput"], c=GREY, lw=1, ls="--", label="level")
    return figure, (first, between, good)


def _with_legend(figure: Figure, panels: Sequence[Axes]) -> Figure:
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=3, **LEGEND)
    return figure


def _mark_knee(panels: Sequence[Axes], knee: Document | None) -> None:
    if knee:
        for axes in panels:
            axes.axvline(knee["responses_per_s"], c=INK, lw=1.2, label="knee")


def _turns(run: Document) -> Figure | None:
    """TTFT by turn."""
    found = {name: of["ttft_ms"] for name, of in run["by_turn"].items() if of["ttft_ms"]}
    if not found:
        return None
    figure, axes = _bars(len(found))
    for place, times in enumerate(found.values()):
        axes.barh(place - 0.18, times["p50"], 0.34, color=BLUE, label="p50" if not place else None)
        axes.barh(
            place + 0.18, times["p99"], 0.34, color=ORANGE, label="p99" if not place else None
        )
    axes.set_yticks(range(len(found)), [f"turn {name}" for name in found])
    axes.set_xlabel("First token, ms")
    figure.legend(ncols=2, **LEGEND)
    return figure


def _shares(run: Document, weights: Document) -> Figure | None:
    """The shares of components in the blend's responses, beside the weights if these are known."""
    shares = run["shares"]
    if not shares:
        return None
    names = sorted({*shares, *weights})
    figure, axes = _bars(len(names))
    for place, name in enumerate(names):
        label = "answered" if not place else None
        axes.barh(place, 100 * shares.get(name, 0), 0.55, color=BLUE, alpha=0.6, label=label)
        if name in weights:
            label = "weight" if not place else None
            axes.plot(100 * weights[name], place, "|", c="black", ms=14, mew=2, label=label)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 100)
    axes.set_xlabel("Responses of the blend, %")
    figure.legend(ncols=2, **LEGEND)
    return figure


def _memory(processes: Sequence[Document]) -> Figure | None:
    """The growth of the processes that grew most, over time."""
    if not processes:
        return None
    figure = Figure((WIDTH, 3.2))
    axes = figure.subplots()
    for process, colour in zip(processes[:_DRAWN], _COLOURS, strict=False):
        minutes = [at_s / 60 for at_s in process["times_s"]]
        added = [mib - process["anonymous_mib"][0] for mib in process["anonymous_mib"]]
        axes.plot(
            minutes,
            added,
            c=colour,
            lw=1.3,
            label=process["process"].removeprefix("ray::ServeReplica:"),
        )
    axes.set_xlabel("Minutes")
    axes.set_ylabel("MiB more than at the beginning")
    figure.legend(ncols=2, **LEGEND | {"fontsize": 7})
    return figure


def _bars(rows: int) -> tuple[Figure, Axes]:
    figure = Figure((WIDTH, 0.9 + 0.5 * rows))
    axes = figure.subplots()
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    return figure, axes


def _svg(figure: Figure, name: str) -> str:
    """The figure for a page with several figures: as wide as its place, and with unique ids."""
    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    svg = written.getvalue()
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg[svg.index("<svg") :], count=2)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    return svg.replace(">", f' role="img"><title>{TITLES[name]}</title>', 1)
