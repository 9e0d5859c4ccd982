"""The report of an experiment on a terminal of 80 columns: the decision first."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from blended.cli import layout
from blended.experiments.measures import CAME, CONDITIONAL, MEASURES

_PAPER = {
    "delta_zeta": "Δζ retention, day 1",
    "delta_beta": "Δβ retention, slope",
    "delta_alpha": "Δα engagement, day 1",
    "delta_gamma": "Δγ engagement, slope",
}
_DECIDED = {"ship": "SHIP", "keep": "KEEP CONTROL", "wait": "WAIT", "broken": "BROKEN"}
_STYLES = {"ship": "bold green", "keep": "bold", "wait": "bold yellow", "broken": "bold red"}
_SHARES = frozenset(measure.name for measure in MEASURES if measure.is_share)
_SHOWN_DAYS = 14
# A day is shown if a share differs by so much from the last one that is.
_MOVED = 0.005


def show(console: Console, document: Mapping[str, Any]) -> None:
    """Print the decision and the verdict, what they stand on, and every number."""
    if document["simulated"]:
        layout.say(console, "SIMULATED: no people were asked.", "bold red")
    for arm, decided in document["decisions"].items():
        kind = decided["decision"]
        layout.say(console, f"{_DECIDED[kind]} ({arm}): {decided['why']}", _STYLES[kind])
    for sentence in document["verdict"]:
        layout.say(console, f"- {sentence}")
    layout.say(console, _head(document))
    _arms(console, document)
    for arm, found in document["arms"].items():
        if found["adaptive"]:
            _mixes(console, document, arm, found["mix_by_day"])
    _calendar(console, document)
    for arm, effects in document["effects"].items():
        _effects(console, document, arm, effects)
    if any(document["paper"].values()):
        _paper(console, document)
    for sentence in (*document["missing"], *document["notes"]):
        layout.say(console, f"Note: {sentence}", "yellow")


def _head(document: Mapping[str, Any]) -> str:
    left_out, quality, window = document["left_out"], document["quality"], document["window"]
    programs = sum(left_out["around_the_clock"].values())
    return (
        f"\n{document['experiment']}: {document['start'][:10]} to {document['until'][:10]}, "
        f"control '{document['control']}', {document['interval']} intervals of 95 %.\n"
        f"The verdict is on days {window['first']} to {window['last']} after joining, observed to "
        f"day {window['seen']}.\n"
        f"Sample ratio mismatch: p = {document['srm']['p']:.3g}, by day of joining p = "
        f"{document['srm']['by_day_p']:.3g}.\nLeft out: {left_out['in_two_arms']:,} users met in "
        f"two arms ({quality['crossed']:.1%}), {left_out['known_before']:,} who had come before "
        f"the start, {programs:,} programs. Days without records: {len(quality['gaps'])}."
    )


def _arms(console: Console, document: Mapping[str, Any]) -> None:
    quality, rows = document["quality"], list[list[str]]()
    for name, arm in document["arms"].items():
        drawn = "\n".join(
            f"{component} {c['drawn']:.1%} ({c['probability']:.1%})"
            for component, c in arm["components"].items()
            if c["probability"] and c["drawn"] is not None
        )
        users, share, records = f"{arm['users']:,}", f"{arm['share']:.1%}", f"{arm['responses']:,}"
        lost, doubled = f"{quality['orphans'][name]:.1%}", f"{quality['doubled'][name]:.1%}"
        rows.append([name, users, share, records, lost, doubled, drawn])
    heads = ("arm", "users", "share", "records", "orphaned", "doubled", "drawn (configured)")
    caption = "orphaned: second turns of conversations without the record of the first"
    layout.show(console, heads, rows, caption=caption)


def _mixes(
    console: Console, document: Mapping[str, Any], arm: str, days: Sequence[Mapping[str, Any]]
) -> None:
    """The shares of an adaptive arm, on the first day and when they moved."""
    names = list(document["arms"][arm]["components"])
    rows, last = list[list[str]](), dict[str, float]()
    for of in days:
        shares = {name: of["shares"].get(name, 0.0) for name in names}
        if not last or any(abs(shares[name] - last[name]) > _MOVED for name in names):
            last = shares
            rows.append([_day(document, of), *(f"{share:.1%}" for share in shares.values())])
    title = f"{arm} is adaptive: its shares on the first day, and on each when they moved"
    layout.show(console, ("day", *names), rows, title)


def _day(document: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    return str(row["day"] if document["day_s"] < 86_400 else row["day"][:10])


def _calendar(console: Console, document: Mapping[str, Any]) -> None:
    """Joiners and records of the last days, by arm; the page and the JSON have them all."""
    arms, days = list(document["arms"]), document["calendar"]
    title = f"joiners / records by day (the last {min(len(days), _SHOWN_DAYS)} of {len(days)})"
    rows = list[list[str]]()
    for row in days[-_SHOWN_DAYS:]:
        rows.append(
            [_day(document, row), *(f"{row['joiners'][a]:,} / {row['records'][a]:,}" for a in arms)]
        )
    layout.show(console, ("day", *arms), rows, title)


def _paper(console: Console, document: Mapping[str, Any]) -> None:
    prefix, rows = _prefix(document), list[list[str]]()
    for arm, numbers in document["paper"].items():
        for name in (name for name in _PAPER if name in numbers):
            number = numbers[name]
            ends = f"{number[f'{prefix}low']:+.3f} to {number[f'{prefix}high']:+.3f}"
            rows.append([arm, _PAPER[name], f"{number['value']:+.3f}", ends])
    title = "log ratio = intercept + slope · log k"
    layout.show(console, ("arm", "number", "value", "95 %"), rows, title)


def _effects(
    console: Console, document: Mapping[str, Any], arm: str, effects: Mapping[str, Any]
) -> None:
    """The goals, whose p values are corrected for their number, and the guardrails."""
    goals = {name: e for name, e in effects.items() if e["corrected_p"] is not None}
    guardrails = {name: e for name, e in effects.items() if name not in goals}
    parts = (
        (goals, f"'{arm}' against control (p corrected for all goals and arms)", f"* {CAME}"),
        (guardrails, f"Guardrails of '{arm}' against control (p not corrected)", ""),
    )
    for found, title, caption in parts:
        rows = [_effect(document, name, effect) for name, effect in found.items()]
        if rows:
            heads = ("measure", "control", "arm", "difference, 95 %", "p")
            layout.show(console, heads, rows, title, caption)


def _effect(document: Mapping[str, Any], measure: str, effect: Mapping[str, Any]) -> list[str]:
    corrected = effect["corrected_p"]
    return [
        document["labels"][measure] + (" *" if measure in CONDITIONAL else ""),
        _value(measure, effect["control"]),
        _value(measure, effect["value"]),
        effect["said"].replace(" (", "\n("),
        f"{effect['p'] if corrected is None else corrected:.2g}",
    ]


def _value(measure: str, value: float) -> str:
    return f"{100 * value:.3g}%" if measure in _SHARES else f"{value:.4g}"


def _prefix(document: Mapping[str, Any]) -> str:
    return "always_valid_" if document["interval"] == "always valid" else ""
