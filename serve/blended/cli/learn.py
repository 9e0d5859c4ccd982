"""`blended learn`: what the draws in the journal tell about other mixes of components."""

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from blended.cli import layout, learn_policy, mix
from blended.cli import learn_tables as shown
from blended.cli.opened_journal import Address, opened, progress
from blended.cli.times import past
from blended.config import loading

app = typer.Typer(
    help="What the journal tells about other mixes of components.", no_args_is_help=True
)
for command in (mix.mix, learn_policy.fit, learn_policy.evaluate, learn_policy.promote):
    app.command()(command)
console = Console()


@app.callback()
def learn() -> None:
    """What the journal tells about other mixes of components."""


@app.command()
def report(
    mix: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=SHARE,…", help="A mix to value: a=.5,b=.3,c=.2. Repeatable."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=past, metavar="TIME", help="UTC, or 24h ago; all without it."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=past, metavar="TIME", help="Now without it.")
    ] = None,
    blend: Annotated[
        str | None, typer.Option(help="The blend's file or preset, for the GPUs of each component.")
    ] = None,
    journal: Address = None,
    as_json: layout.AsJson = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as a page, too.")
    ] = None,
) -> None:
    """The value of mixes, and which way retention goes with the mix, from all draws."""
    mixes = {text: _mix(text) for text in mix or []}
    gpus = loading.load(blend).gpus if blend else None
    now = time.time() if until is None else until.timestamp()
    found = _learned(mixes, gpus, since.timestamp() if since else 0.0, now, journal)
    if html is not None:
        from blended.html import write
        from blended.learning.page import page

        write(html, page(found))
    if as_json:
        layout.show_json(found)
        return
    shown.show(console, found)
    if html is not None:
        console.print(f"The page is {html}.", highlight=False, soft_wrap=True)


def _learned(
    mixes: dict[str, dict[str, float]],
    gpus: dict[str, float] | None,
    since: float,
    now: float,
    url: str | None,
) -> dict[str, Any]:
    # These imports take a while; the other commands of `blended` do not need them.
    from blended.experiments.stored_experiments import simulated
    from blended.learning import gradient
    from blended.learning.learned import learn
    from blended.learning.learned_document import document
    from blended.learning.queries import DAY_S
    from blended.learning.reading import read

    with opened(url) as store:
        with progress() as done:
            decisions = read(store, since, now, done)
        first = gradient.read(store, since, now, decisions.components, DAY_S)
        made_up = simulated(store)
    has_simulated = any(drawing.experiment in made_up for drawing in decisions.drawings)
    learned = learn(decisions, first, mixes, gpus)
    return document(learned, since, now - DAY_S, has_simulated)


def _mix(text: str) -> dict[str, float]:
    """A mix from the command line; its shares need not add up to 1."""
    try:
        parts = [part.split("=") for part in text.split(",")]
        weights = {name.strip(): float(share) for name, share in parts}
        total = sum(weights.values())
        shares = {name: weight / total for name, weight in weights.items()}
    except (ValueError, ZeroDivisionError):
        shares = {}
    if len(shares) < len(text.split(",")) or not all(0 <= share <= 1 for share in shares.values()):
        raise typer.BadParameter(
            f"'{text}' is no mix; write one like a=.5,b=.3,c=.2, each component once, with shares "
            "of 0 or more."
        )
    return shares
