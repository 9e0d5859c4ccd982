"""The tables that the command line prints of what was learned from the draws."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console

from blended.cli import layout
from blended.learning.learned_document import GRADIENT_STEP, LEFT_OUT


class _Table(NamedTuple):
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def show(console: Console, document: Mapping[str, Any]) -> None:
    """Print the report; what it cannot tell is last, where users see it."""
    if document["simulated"]:
        layout.say(console, "SIMULATED: not all users are people.", "bold red")
    for fault in document["faults"]:
        layout.say(console, fault, "bold red")
    layout.say(console, _head(document))
    for table in _tables(document):
        layout.show(console, table.heads, table.rows, table.title)
    refused = [mix["refused"] for mix in document["mixes"].values() if mix["refused"]]
    for sentence in (*refused, *document["cannot_tell"]):
        layout.say(console, f"Note: {sentence}", "yellow")


def _tables(document: Mapping[str, Any]) -> list[_Table]:
    handoffs = document["handoffs"].items()
    return [
        *(_mixes(document, reward, number) for reward, number in document["as_drawn"].items()),
        _costs(document),
        *([_gradients(document)] if document["gradients"] else []),
        *([_surrogates(document)] if document["surrogates"] else []),
        *(_handoffs(document, r, found) for r, found in handoffs if any(found["after"].values())),
    ]


def _head(document: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{name} {share:.1%}" for name, share in document["shares"].items())
    left_out = [
        f"\nLeft out: {number:,} responses {LEFT_OUT[reason]}."
        for reason, number in document["left_out"].items()
        if number
    ]
    return (
        f"{document['responses']:,} responses of {document['users']:,} users until "
        f"{document['until']}, drawn by {shares}; {document['interval']} intervals of 95 %"
        + "".join(left_out)
    )


def _mixes(document: Mapping[str, Any], reward: str, drawn: Mapping[str, float] | None) -> _Table:
    mean = f"{drawn['value']:.4g}" if drawn else "unknown"
    title = f"{document['labels'][reward]}: {mean} as drawn"
    heads = ["mix", "SNIPS", "more than as drawn, 95 %", "doubly robust"]
    rows = list[list[str]]()
    for name, mix in document["mixes"].items():
        if not mix["refused"]:
            value, gain, robust = (
                mix[kind][reward] for kind in ("values", "gain", "doubly_robust")
            )
            rows.append([name, f"{value['value']:.4g}", _interval(gain), f"{robust['value']:.4g}"])
    return _Table(title, heads, rows)


def _costs(document: Mapping[str, Any]) -> _Table:
    title = "What a mix costs, and what its values stand on"
    heads = ("mix", "engine s per response", "effective users", "mean weight (1 by design)")
    rows = list[list[str]]()
    for name, mix in document["mixes"].items():
        cost, weight = mix["engine_s"], mix["mean_weight"]
        rows.append(
            [
                name,
                f"{cost['value']:.4g}" if cost else "",
                f"{mix['effective_users']:,.0f}",
                f"{weight['value']:.3f} [{weight['low']:.3f}, {weight['high']:.3f}]"
                if weight
                else "",
            ]
        )
    return _Table(title, heads, rows)


def _gradients(document: Mapping[str, Any]) -> _Table:
    title = "Outcomes per 10 points more of a component on the first day, 95 %"
    heads = ["outcome", "mean", *document["components"]]
    rows = list[list[str]]()
    for name, found in document["gradients"].items():
        cells = [_scaled(number, GRADIENT_STEP) for number in found["toward"].values()]
        rows.append([document["labels"][name], f"{found['mean']:.4g}", *cells])
    return _Table(title, heads, rows)


def _surrogates(document: Mapping[str, Any]) -> _Table:
    title = "Rewards that point where an outcome goes (cosine of the directions, 95 %)"
    heads = ["reward", "outcome", "cosine", "same sign"]
    rows = list[list[str]]()
    for found in document["surrogates"]:
        rows.append(
            [
                document["labels"][found["reward"]],
                document["labels"][found["outcome"]],
                _interval({**found, "value": found["cosine"]}),
                f"{found['same_sign']} of {found['components']}",
            ]
        )
    return _Table(title, heads, rows)


def _handoffs(document: Mapping[str, Any], reward: str, found: Mapping[str, Any]) -> _Table:
    p = found["interaction_p"]
    test = "" if p is None else f" (p of no interaction: {p:.2g})"
    title = f"{document['labels'][reward]} by the component before{test}"
    heads = ["before", *document["components"]]
    rows = list[list[str]]()
    for before, cells in found["after"].items():
        shown = [cells.get(name) for name in document["components"]]
        rows.append([before, *(f"{cell['value']:.4g}" if cell else "" for cell in shown)])
    return _Table(title, heads, rows)


def _scaled(number: Mapping[str, float] | None, factor: float) -> str:
    if number is None:
        return ""
    return _interval({name: value * factor for name, value in number.items()})


def _interval(number: Mapping[str, float]) -> str:
    # Rounding leaves a little, or a sign before 0, where a mix is what was drawn.
    value, low, high = (round(number[name], 12) + 0.0 for name in ("value", "low", "high"))
    return f"{value:+.3g} [{low:+.3g}, {high:+.3g}]"
