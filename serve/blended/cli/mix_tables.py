"""The tables that the command line prints of the move of a mix."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from blended.cli import layout
from blended.learning.learned_document import LEFT_OUT

_KINDS = {"stay": "STAY", "step": "MOVE", "back": "BACK TO UNIFORM"}
_STYLES = {"stay": "bold", "step": "bold green", "back": "bold red"}


def show(console: Console, document: Mapping[str, Any]) -> None:
    """The move and its reason first, then what it stands on."""
    if document["simulated"]:
        layout.say(console, "SIMULATED: no people were asked.", "bold red")
    kind = document["kind"]
    layout.say(console, f"{_KINDS[kind]}: {document['reason']}", _STYLES[kind])
    layout.say(console, _head(document))
    _components(console, document)
    _pairs(console, document)
    _arms(console, document)
    for note in document["notes"]:
        layout.say(console, f"Note: {note}", "yellow")


def _head(document: Mapping[str, Any]) -> str:
    left_out = "".join(
        f"\nLeft out: {number:,} responses {LEFT_OUT[reason]}."
        for reason, number in document["left_out"].items()
        if number
    )
    drawn = document["in_force_since"]
    return (
        f"{document['blend']}, experiment '{document['experiment']}': {document['label']} of "
        f"responses from {document['since']} to {document['until']}; always-valid intervals. "
        + (f"The mix draws by these shares since {drawn}." if drawn else "")
        + left_out
    )


def _components(console: Console, document: Mapping[str, Any]) -> None:
    heads = ["component", "share", "next", "ceiling", document["label"], "GPU s per response"]
    rows = list[list[str]]()
    for name, found in document["components"].items():
        ceiling, cost = found["ceiling"], found["engine_s"]
        rows.append(
            [
                name,
                f"{found['share']:.1%}",
                f"{found['next']:.1%}",
                "" if ceiling is None else f"{ceiling:.1%}",
                _value(found["value"]),
                f"{cost['value']:.4g}" if cost else "",
            ]
        )
    costs = document["engine_s"]
    if costs["now"] is not None:
        rows.append(["the mix", "", "", "", "", f"{costs['now']:.4g}, next {costs['next']:.4g}"])
    caption = (
        f"never below {document['floor']:.1%}, {document['max_step']:.1%} a day; engine seconds "
        "count times the GPUs of a replica, 1 where none is known"
    )
    layout.show(console, heads, rows, caption=caption)


def _pairs(console: Console, document: Mapping[str, Any]) -> None:
    rows = [
        [f"{p['one']} over {p['other']}", f"{p['value']:+.3g} [{p['low']:+.3g}, {p['high']:+.3g}]"]
        for p in document["pairs"]
    ]
    title = "Differences, always valid for all pairs together"
    layout.show(console, ("pair", document["label"]), rows, title)


def _arms(console: Console, document: Mapping[str, Any]) -> None:
    arms, more = document["arms"], document["arms"]["difference"]
    rows = [[arm, _value(arms[arm])] for arm in ("adaptive", "holdback")]
    if more:
        shown = f"{more['value']:+.3g} [{more['low']:+.3g}, {more['high']:+.3g}]"
        rows.append(["adaptive over holdback", shown])
    layout.show(console, ("arm", document["label"]), rows, "The mix beside the uniform one")


def _value(number: Mapping[str, float] | None) -> str:
    if number is None:
        return "too few users"
    value, low, high = (number[name] for name in ("value", "low", "high"))
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"
