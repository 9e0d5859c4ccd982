"""`blended experiment components`: what each component does to what comes next."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from blended.cli import layout
from blended.cli.opened_journal import Address, opened, progress
from blended.cli.times import past
from blended.errors import ConfigError
from blended.learning.decisions import REASONS, Decisions

if TYPE_CHECKING:
    from blended.experiments.definition import ArmDefinition

console = Console()


def components(
    name: Annotated[str, typer.Argument(help="The experiment.")],
    against: Annotated[
        str | None, typer.Option(help="The component to compare with; an arm's first without it.")
    ] = None,
    journal: Address = None,
    as_json: layout.AsJson = False,
    until: Annotated[
        datetime | None, typer.Option(parser=past, metavar="TIME", help="Now without it.")
    ] = None,
) -> None:
    """What each component does to what comes next, from the draws in the experiment's arms."""
    now = time.time() if until is None else until.timestamp()
    found = _compared(name, against, journal, now)
    if as_json:
        layout.show_json(found)
        return
    _show(found)


def _compared(name: str, against: str | None, url: str | None, now: float) -> dict[str, Any]:
    # These imports take a while; the other commands of `blended` do not need them.
    from blended.experiments import stored_experiments
    from blended.learning.components import compare
    from blended.learning.components_document import document
    from blended.learning.reading import read

    with opened(url) as store:
        definition = stored_experiments.find(store, name).definition
        arms = [
            arm
            for arm in definition.arms
            if arm.adaptive or sum(p > 0 for p in arm.probabilities.values()) > 1
        ]
        if not arms:
            raise ConfigError(f"No arm of '{name}' draws among several components.")
        end = min(now, definition.end + definition.day_s)
        with progress() as done:
            decisions = read(store, definition.start, end, done, definition.day_s, name)
    shares = {arm.id: _shares(arm, decisions) for arm in arms}
    compared = [compare(decisions, arm, of, against) for arm, of in shares.items() if of]
    return document(definition, compared, decisions.left_out, end - definition.day_s)


def _shares(arm: "ArmDefinition", decisions: Decisions) -> Mapping[str, float]:
    """What an arm drew by; those of an adaptive arm moved, and these are their means."""
    from blended.learning.learned import mean_shares

    if not arm.adaptive:
        return arm.probabilities
    return mean_shares(decisions.of(lambda drawing: drawing.arm == arm.id))


def _show(document: Mapping[str, Any]) -> None:
    if document["simulated"]:
        layout.say(console, "SIMULATED: no people were asked.", "bold red")
    layout.say(
        console,
        f"{document['experiment']}: responses until {document['until']}, so that a day has passed "
        f"after each; {document['interval']} intervals of 95 %",
    )
    for arm, found in document["arms"].items():
        heads = ("per response", "mean", f"more than {found['against']}, 95 %", "corrected p")
        title = f"{arm}: {found['responses']:,} responses of {found['users']:,} users"
        if rows := list(_rows(document, found)):
            layout.show(console, heads, rows, title)
        else:
            layout.say(console, title, "bold")
        for fault in found["faults"]:
            layout.say(console, fault, "bold red")
        if found["partial"]:
            layout.say(
                console,
                f"Left out: {found['partial']:,} responses that only some could answer.",
                "yellow",
            )
        for sentence in found["too_few"].values():
            layout.say(console, sentence, "yellow")
    for reason, number in document["left_out"].items():
        if number:
            layout.say(console, f"Left out: {number:,} responses {REASONS[reason]}.", "yellow")
    for sentence in document["cannot_tell"]:
        layout.say(console, f"Not told here: {sentence}", "yellow")


def _rows(document: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[list[str]]:
    for measure, components in found["measures"].items():
        label = f"{document['labels'][measure]} ({document['goals'][measure]} is better)"
        for component, one in components.items():
            more = one["difference"]
            yield [
                f"{label}: {component}",
                f"{one['value']:.4g}",
                _interval(more) if more else "",
                f"{one['corrected_p']:.2g}" if more else "",
            ]


def _interval(number: Mapping[str, float]) -> str:
    return f"{number['value']:+.3g} [{number['low']:+.3g}, {number['high']:+.3g}]"
