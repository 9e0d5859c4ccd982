"""`blended learn fit`, `evaluate` and `promote`: policies from the journal's draws."""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from blended.cli import layout
from blended.cli.edited_files import edit
from blended.cli.opened_journal import Address, opened, progress
from blended.cli.times import past
from blended.errors import ConfigError
from blended.folders import state_dir

if TYPE_CHECKING:
    from blended.learning.policy import Policy
    from blended.learning.policy_rows import Rows

console = Console()

Since = Annotated[
    datetime | None,
    typer.Option(parser=past, metavar="TIME", help="UTC, or 24h ago; all without it."),
]
Folder = Annotated[
    Path | None, typer.Option(help="Of policies' files; `policies` in the state folder without it.")
]
Reference = Annotated[str, typer.Argument(metavar="NAME@VERSION", help="A policy.")]
Day = Annotated[
    float, typer.Option(min=1, max=86_400, help="How long a day lasts, of simulated users.")
]


def fit(
    name: Annotated[str, typer.Argument(help="What the blend's file will call the policy.")],
    reward: Annotated[
        str, typer.Option(help="What it predicts: kept, continued or two_more.")
    ] = "two_more",
    floor: Annotated[
        float, typer.Option(min=0, help="The least probability of each component.")
    ] = 0.1,
    since: Since = None,
    folder: Folder = None,
    day_s: Day = 86_400,
    journal: Address = None,
) -> None:
    """Fit a policy, which draws by what is known of a request, to the draws in the journal."""
    from blended.learning import fit as fitting
    from blended.learning.policy_files import write

    _check_name(name)
    rows = _rows(since, day_s, journal)
    policy = fitting.fit(rows, name, reward, floor)
    file = write(policy, folder or _folder())
    console.print(policy.reference, highlight=False)
    for line in _told(rows):
        layout.say(console, line, "yellow")
    layout.say(
        console,
        f"It predicts `{reward}`, from {policy.fitted['responses']:,} responses of "
        f"{policy.fitted['users']:,} users, and is in {file}. "
        f"`blended learn evaluate {policy.reference}` judges it by the users that it has not met.",
    )


def evaluate(
    policy: Reference,
    since: Since = None,
    folder: Folder = None,
    day_s: Day = 86_400,
    journal: Address = None,
    as_json: layout.AsJson = False,
) -> None:
    """Judge a policy by users that it has not met; exit status 1 if it is not shown to be worth
    more than the best mix."""
    from blended.learning.policy_evaluation import document, evaluated

    found = document(evaluated(_read(policy, folder), _rows(since, day_s, journal)))
    if as_json:
        layout.show_json(found)
    else:
        _show(found)
    if found["refusals"]:
        raise typer.Exit(1)


def promote(
    policy: Reference,
    file: Annotated[Path, typer.Argument(help="The blend's file.")],
    arm: Annotated[
        str | None, typer.Option(metavar="EXPERIMENT/ARM", help="For this arm, not for all.")
    ] = None,
    folder: Folder = None,
) -> None:
    """Write a policy's name and version into a blend's file; comments stay."""
    from blended.cli.policy_promotion import promoted

    found = _read(policy, folder)
    edit(file, lambda text: promoted(text, found, arm, str(file)))
    where = f"the arm {arm}" if arm else "the blend"
    layout.say(
        console,
        f"{file}: {found.reference} draws for {where}. Its file has to be on every node that holds "
        f"a router before `blended apply {file}`.",
    )


def _rows(since: datetime | None, day_s: float, url: str | None) -> "Rows":
    # These imports take a while; the other commands of `blended` do not need them.
    from blended.learning.policy_rows import read

    with opened(url) as store, progress() as done:
        return read(store, since.timestamp() if since else 0.0, time.time(), done, day_s)


def _told(rows: "Rows") -> list[str]:
    """What was left out, and what the policy cannot know."""
    from blended.learning.policy_rows import REASONS

    lines = [
        f"Left out: {number:,} responses {REASONS[reason]}."
        for reason, number in rows.left_out.items()
        if number
    ]
    if not rows.texts:
        lines.append(
            "The journal keeps no texts (`journal.content`): the policy does not look at words."
        )
    return lines


def _read(reference: str, folder: Path | None) -> "Policy":
    from blended.learning.policy_files import read, versions

    name, _, version = reference.partition("@")
    if not version:
        known = ", ".join(f"{name}@{v}" for v in versions(folder or _folder(), name)) or "none"
        raise ConfigError(f"'{reference}' has no version; there are: {known}.")
    return read(folder or _folder(), name, version)


def _folder() -> Path:
    from blended.learning.policy_files import FOLDER

    return state_dir() / FOLDER


def _check_name(name: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    from blended.config import Identifier

    try:
        TypeAdapter(Identifier).validate_python(name)
    except ValidationError:
        raise ConfigError(
            f"'{name}' is no name of a policy; write at most 40 lower-case letters, digits and "
            "dashes, with no dash at the ends."
        ) from None


def _show(found: Mapping[str, Any]) -> None:
    title = (
        f"{found['policy']}: {found['reward']} of {found['responses']:,} responses of "
        f"{found['users']:,} users that it has not met"
    )
    rows = [
        [name, f"{one['snips']['value']:.4f}", _interval(one["doubly_robust"], "")]
        for name, one in found["values"].items()
    ]
    layout.show(console, ("drawn by", "SNIPS", "doubly robust, 95 %"), rows, title)
    mix = ", ".join(f"{name} {share:.0%}" for name, share in found["best_mix"].items())
    layout.say(console, f"The best mix is {mix}; intervals are {found['interval']}.")
    shares = ",".join(f"{name}={share:.3f}" for name, share in found["shares"].items())
    layout.say(console, f"On average the policy draws by {shares}.")
    layout.say(console, f"The policy's gain over it: {_interval(found['gain'], '+')}.")
    layout.say(
        console,
        f"Mean squared weight {found['mean_square_of_weights']:.3f}; before the message is known, "
        f"look-ahead names the component that answers in {found['agreement_before_message']:.1%}.",
    )
    for sentence in found["refusals"]:
        layout.say(console, sentence, "bold red")


def _interval(number: Mapping[str, float], sign: str) -> str:
    value, low, high = (f"{number[k]:{sign}.4f}" for k in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
