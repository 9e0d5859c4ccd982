"""The report as one HTML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blended.html import templates
from loadtests.report.plots import plots
from loadtests.users import run_summary

TIMES = {"ttft_ms": "TTFT", "itl_ms": "ITL", "tpot_ms": "TPOT", "e2e_ms": "E2E"}


def page(document: Mapping[str, Any], weights: Mapping[str, float]) -> str:
    """The page of a load test, or of a soak with the search for the knee before it."""
    is_soak = "soak" in document
    run = document["soak"] if is_soak else document
    search = document["knee_search"] if is_soak else document
    return (
        templates(Path(__file__).parent, _FILTERS)
        .get_template("page.html")
        .render(
            is_soak=is_soak,
            run=run,
            search=search,
            knee=run_summary.knee_sentence(search) if search else "",
            complaints=document.get("complaints", [*run["missed"], *run["refused"]]),
            sentences=[*run_summary.describe(run), run_summary.verdict(run)],
            processes=document.get("processes", []),
            share_of_knee=document.get("share_of_knee"),
            rows=_rows(run),
            times=TIMES,
            weights=weights,
            plots=plots(run, search, document.get("processes", []), weights),
            command=document["command"],
            versions=document["versions"],
        )
    )


def _rows(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The groups of the table, by their names."""
    rows = {"all": run["all"]}
    for kind in run_summary.KINDS:
        rows |= {f"{kind} {name}": of for name, of in run_summary.by(run, kind).items()}
    return rows


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


_FILTERS = {"number": _number, "percent": _percent}
