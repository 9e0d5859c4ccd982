"""The report of an experiment on a terminal of 80 columns: the decision first."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from blended.experiments.measures import CAME, CONDITIONAL

_PAPER = {
    "delta_zeta": "Δζ retention, day 1",
    "delta_beta": "Δβ retention, slope",
    "delta_alpha": "Δα engagement, day 1",
    "delta_gamma": "Δγ engagement, slope",
}
_DECIDED = {"ship": "SHIP", "keep": "KEEP CONTROL", "wait": "WAIT", "broken": "BROKEN"}
_STYLES = {"ship": "bold green", "keep": "bold", "wait": "bold yellow", "broken": "bold red"}
_SHOWN_DAYS = 14


def report_parts(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The decision and the verdict, what they stand on, and every number."""
    if document["simulated"]:
        yield Text("SIMULATED: no people were asked.", style="bold red")
    for arm, decided in document["decisions"].items():
        kind = decided["decision"]
        yield Text(f"{_DECIDED[kind]} ({arm}): {decided['why']}", style=_STYLES[kind])
    yield from (Text(f"- {sentence}") for sentence in document["verdict"])
    yield _head(document)
    yield _arms(document)
    yield _calendar(document)
    for arm, effects in document["effects"].items():
        yield _effects(document, arm, effects)
    if any(document["paper"].values()):
        yield _paper(document)
    for sentence in (*document["missing"], *document["notes"]):
        yield Text(f"Note: {sentence}", style="yellow")


def _head(document: Mapping[str, Any]) -> Text:
    left_out, quality, window = document["left_out"], document["quality"], document["window"]
    programs = sum(left_out["around_the_clock"].values())
    return Text(
        f"\n{document['experiment']}: {document['start'][:10]} to {document['until'][:10]}, "
        f"control '{document['control']}', {document['interval']} intervals of 95 %.\n"
        f"The verdict is on days {window['first']} to {window['last']} after joining, observed to "
        f"day {window['seen']}.\n"
        f"Sample ratio mismatch: p = {document['srm']['p']:.3g}, by day of joining p = "
        f"{document['srm']['by_day_p']:.3g}.\nLeft out: {left_out['in_two_arms']:,} users met in "
        f"two arms ({quality['crossed']:.1%}), {left_out['known_before']:,} who had come before "
        f"the start, {programs:,} programs. Days without records: {len(quality['gaps'])}."
    )


def _arms(document: Mapping[str, Any]) -> Table:
    table = Table("arm", "users", "share", "records", "orphaned", "doubled", "drawn (configured)")
    for name, arm in document["arms"].items():
        drawn = "\n".join(
            f"{component} {c['drawn']:.1%} ({c['probability']:.1%})"
            for component, c in arm["components"].items()
            if c["probability"] and c["drawn"] is not None
        )
        quality = document["quality"]
        table.add_row(
            name,
            f"{arm['users']:,}",
            f"{arm['share']:.1%}",
            f"{arm['responses']:,}",
            f"{quality['orphans'][name]:.1%}",
            f"{quality['doubled'][name]:.1%}",
            drawn,
        )
    return table


def _calendar(document: Mapping[str, Any]) -> Table:
    """Joiners and records of the last days, by arm; the page and the JSON have them all."""
    arms, rows = list(document["arms"]), document["calendar"]
    title = f"joiners / records by day (the last {min(len(rows), _SHOWN_DAYS)} of {len(rows)})"
    table = Table("day", *arms, title=title)
    for row in rows[-_SHOWN_DAYS:]:
        counts = (f"{row['joiners'][arm]:,} / {row['records'][arm]:,}" for arm in arms)
        day = row["day"] if document["day_s"] < 86_400 else row["day"][:10]
        table.add_row(day, *counts)
    return table


def _paper(document: Mapping[str, Any]) -> Table:
    table = Table("arm", "number", "value", "95 %", title="log ratio = intercept + slope · log k")
    prefix = _prefix(document)
    for arm, numbers in document["paper"].items():
        for name in (name for name in _PAPER if name in numbers):
            number = numbers[name]
            ends = f"{number[f'{prefix}low']:+.3f} to {number[f'{prefix}high']:+.3f}"
            table.add_row(arm, _PAPER[name], f"{number['value']:+.3f}", ends)
    return table


def _effects(document: Mapping[str, Any], arm: str, effects: Mapping[str, Any]) -> Table:
    title = f"'{arm}' against control (p of goals corrected, of guardrails as it is)"
    caption = f"* {CAME}"
    table = Table(
        "measure", "control", "arm", "difference, 95 %", "p", title=title, caption=caption
    )
    goals = sorted(effects.items(), key=lambda item: item[1]["corrected_p"] is None)
    for number, (measure, effect) in enumerate(goals):
        corrected = effect["corrected_p"]
        following = [e["corrected_p"] for _, e in goals[number + 1 : number + 2]]
        table.add_row(
            document["labels"][measure] + (" *" if measure in CONDITIONAL else ""),
            f"{effect['control']:.4g}",
            f"{effect['value']:.4g}",
            effect["said"].replace(" (", "\n("),
            f"{effect['p'] if corrected is None else corrected:.2g}",
            end_section=corrected is not None and following == [None],
        )
    return table


def _prefix(document: Mapping[str, Any]) -> str:
    return "always_valid_" if document["interval"] == "always valid" else ""
