"""`blended reward`: fits a reward model to what users had drawn again, and judges it."""

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from blended.cli import layout
from blended.cli.opened_journal import Address, opened, progress
from blended.cli.times import past

if TYPE_CHECKING:
    from blended.reward.examples import Examples
    from blended.reward.gates import Gate

app = typer.Typer(
    help="A model that tells which response users would keep, from the journal.",
    no_args_is_help=True,
)
console = Console()

Since = Annotated[
    datetime | None,
    typer.Option(parser=past, metavar="TIME", help="UTC, or 24h ago; all without it."),
]


@app.callback()
def reward() -> None:
    """A model that tells which response users would keep, from the journal."""


@app.command()
def fit(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the model goes.")],
    since: Since = None,
    journal: Address = None,
    as_json: layout.AsJson = False,
) -> None:
    """Fit a small model to the retries in the journal; write it if no gate refuses."""
    from blended import __version__
    from blended.reward import fitting

    examples, until = _examples(since, journal)
    about: dict[str, Any] = {
        "pairs": len(examples.pairs),
        "users": examples.users,
        "since": since.timestamp() if since else None,
        "until": until,
        "blended": __version__,
    }
    fitted = fitting.fit(examples, about)
    passed = all(gate.passed for gate in fitted.gates)
    if passed:
        fitted.model.save(out)
    written = {"file": str(out), "version": fitted.model.version} if passed else None
    if as_json:
        layout.show_json(_document(examples, fitted.gates) | {"written": written})
    else:
        _show(examples, fitted.gates)
        end = (
            f"Wrote '{out}', version {fitted.model.version}."
            if passed
            else f"'{out}' is not written."
        )
        layout.say(console, end, "bold")
    if not passed:
        raise typer.Exit(1)


@app.command()
def evaluate(
    file: Annotated[Path, typer.Argument(help="What `blended reward fit` has written.")],
    everybody: Annotated[
        bool,
        typer.Option(
            "--everybody", help="All users: of a journal that the model was not fitted to."
        ),
    ] = False,
    since: Since = None,
    journal: Address = None,
    as_json: layout.AsJson = False,
) -> None:
    """Judge a model by the fifth of users that it was not fitted to."""
    from blended.reward import fitting
    from blended.reward.examples import HELD_OUT
    from blended.reward.linear import LinearReward

    model = LinearReward.load(file)
    examples, _ = _examples(since, journal)
    gates = fitting.evaluate(model, examples if everybody else examples.of([HELD_OUT]))
    if as_json:
        layout.show_json(_document(examples, gates) | {"version": model.version})
    else:
        _show(examples, gates)
    if not all(gate.passed for gate in gates):
        raise typer.Exit(1)


def _examples(since: datetime | None, url: str | None) -> tuple["Examples", float]:
    # These imports take a while; the other commands of `blended` do not need them.
    from blended.reward.reading import read

    now = time.time()
    with opened(url) as store, progress() as done:
        return read(store, since.timestamp() if since else 0.0, now, done), now


def _document(examples: "Examples", gates: Sequence["Gate"]) -> dict[str, Any]:
    return {
        "retries": examples.retries,
        "pairs": len(examples.pairs),
        "points": len(examples.points),
        "users": examples.users,
        "gates": [gate.to_json() for gate in gates],
    }


def _show(examples: "Examples", gates: Sequence["Gate"]) -> None:
    """The figures as a table, and what each means below it."""
    layout.say(
        console,
        f"{len(examples.pairs):,} pairs of an answer that {examples.users:,} users had drawn again "
        f"and the one that they kept, from {examples.retries:,} retries; {len(examples.points):,} "
        "other answers.",
    )
    rows = [
        [gate.name, _number(gate.value), _interval(gate), "passed" if gate.passed else "refuses"]
        for gate in gates
    ]
    layout.show(console, ("gate", "figure", "95 %", ""), rows, "On users not fitted to")
    for gate in gates:
        layout.say(console, gate.sentence, "" if gate.passed else "bold red")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(gate: "Gate") -> str:
    return "" if gate.low is None else f"{gate.low:.3f} to {gate.high:.3f}"
