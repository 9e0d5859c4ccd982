"""The tables that the command line prints of what was learned from the draws."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from blended.learning.learned_document import LEFT_OUT


def parts(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The report as tables; what it cannot tell is last, where users see it."""
    if document["simulated"]:
        yield Text("SIMULATED: not all users are people.", style="bold red")
    yield _head(document)
    for reward, number in document["as_drawn"].items():
        yield _mixes(document, reward, number)
    yield _costs(document)
    for mix in document["mixes"].values():
        if mix["refused"]:
            yield Text(mix["refused"], style="yellow")
    if document["gradients"]:
        yield _gradients(document)
    if document["surrogates"]:
        yield _surrogates(document)
    for reward, found in document["handoffs"].items():
        if any(found["after"].values()):
            yield _handoffs(document, reward, found)
    for sentence in document["cannot_tell"]:
        yield Text(f"Note: {sentence}", style="yellow")


def _head(document: Mapping[str, Any]) -> Text:
    shares = ", ".join(f"{name} {share:.1%}" for name, share in document["shares"].items())
    left_out = [
        f"\nLeft out: {number:,} responses {LEFT_OUT[reason]}."
        for reason, number in document["left_out"].items()
        if number
    ]
    return Text(
        f"{document['responses']:,} responses of {document['users']:,} users until "
        f"{document['until']}, drawn by {shares}; {document['interval']} intervals of 95 %"
        + "".join(left_out)
    )


def _mixes(document: Mapping[str, Any], reward: str, drawn: Mapping[str, float] | None) -> Table:
    mean = f"{drawn['value']:.4g}" if drawn else "unknown"
    title = f"{document['labels'][reward]}: {mean} as drawn"
    table = Table("mix", "SNIPS", "more than as drawn, 95 %", "doubly robust", title=title)
    for name, mix in document["mixes"].items():
        if not mix["refused"]:
            value, gain, robust = (
                mix[kind][reward] for kind in ("values", "gain", "doubly_robust")
            )
            table.add_row(name, f"{value['value']:.4g}", _interval(gain), f"{robust['value']:.4g}")
    return table


def _costs(document: Mapping[str, Any]) -> Table:
    title = "What a mix costs, and what its values stand on"
    heads = ("mix", "engine s per response", "effective users", "mean weight (1 by design)")
    table = Table(*heads, title=title)
    for name, mix in document["mixes"].items():
        cost, weight = mix["engine_s"], mix["mean_weight"]
        table.add_row(
            name,
            f"{cost['value']:.4g}" if cost else "",
            f"{mix['effective_users']:,.0f}",
            f"{weight['value']:.3f} [{weight['low']:.3f}, {weight['high']:.3f}]" if weight else "",
        )
    return table


def _gradients(document: Mapping[str, Any]) -> Table:
    title = "Per 10 points more of a component on the first day, 95 %"
    table = Table("outcome", "mean", *document["components"], title=title)
    for name, found in document["gradients"].items():
        cells = [_scaled(number, 0.1) for number in found["toward"].values()]
        table.add_row(document["labels"][name], f"{found['mean']:.4g}", *cells)
    return table


def _surrogates(document: Mapping[str, Any]) -> Table:
    title = "Rewards that point where an outcome goes (cosine of the directions, 95 %)"
    table = Table("reward", "outcome", "cosine", "same sign", title=title)
    for found in document["surrogates"]:
        table.add_row(
            document["labels"][found["reward"]],
            document["labels"][found["outcome"]],
            _interval({**found, "value": found["cosine"]}),
            f"{found['same_sign']} of {found['components']}",
        )
    return table


def _handoffs(document: Mapping[str, Any], reward: str, found: Mapping[str, Any]) -> Table:
    p = found["interaction_p"]
    test = "" if p is None else f" (p of no interaction: {p:.2g})"
    title = f"{document['labels'][reward]} by the component before{test}"
    table = Table("before", *document["components"], title=title)
    for before, cells in found["after"].items():
        shown = [cells.get(name) for name in document["components"]]
        table.add_row(before, *(f"{cell['value']:.4g}" if cell else "" for cell in shown))
    return table


def _scaled(number: Mapping[str, float] | None, factor: float) -> str:
    if number is None:
        return ""
    return _interval({name: value * factor for name, value in number.items()})


def _interval(number: Mapping[str, float]) -> str:
    # Rounding leaves a little where a mix is what was drawn.
    value, low, high = (round(number[name], 12) for name in ("value", "low", "high"))
    return f"{value:+.3g} [{low:+.3g}, {high:+.3g}]"
