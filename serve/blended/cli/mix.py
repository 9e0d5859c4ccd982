"""`blended learn mix`: the next shares of a mix that moves safely, printed or written."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from blended.cli import layout, mix_tables
from blended.cli.blend_editing import with_value
from blended.cli.edited_files import edit
from blended.cli.opened_journal import Address, opened, progress
from blended.cli.times import past
from blended.config import BlendConfig, loading
from blended.errors import ConfigError
from blended.learning.rewards import REWARDS

# The exit status when the file was changed: a schedule applies it then.
WRITTEN = 3
# Short enough to follow a component that gets worse within weeks.
HALF_LIFE_DAYS = 7.0
console = Console()


@dataclass(frozen=True)
class _Asked:
    """The options, times in Unix seconds."""

    reward: str
    floor: float
    max_step: float
    half_life: float
    rate: float | None
    since: float


_REWARDS = ", ".join(reward.name for reward in REWARDS)


def mix(
    source: Annotated[str, typer.Argument(metavar="BLEND", help="The blend's file.")],
    reward: Annotated[str, typer.Option(help=f"What is good: {_REWARDS}.")] = "two_more",
    floor: Annotated[float, typer.Option(help="No share goes below it.")] = 0.1,
    max_step: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="The most that moves on a day.")
    ] = 0.05,
    half_life: Annotated[
        float, typer.Option(min=0.5, metavar="DAYS", help="After it, responses count half.")
    ] = HALF_LIFE_DAYS,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, help="Responses per second to have the capacity for."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=past, metavar="TIME", help="UTC, or 24h ago; the start without it."),
    ] = None,
    write: Annotated[
        bool,
        typer.Option("--write/--dry-run", help="Change the file, or only print (the default)."),
    ] = False,
    journal: Address = None,
    as_json: layout.AsJson = False,
) -> None:
    """Move the weights of a blend by one safe step. Ends with status 3 if it changed the file."""
    if reward not in {known.name for known in REWARDS}:
        raise typer.BadParameter(f"'{reward}' is no reward; there are {_REWARDS}.")
    if write and source in (*loading.presets(), loading.STDIN):
        raise ConfigError(f"'{source}' is no file that could be changed; copy it to one.")
    text = loading.read(source)
    blend = loading.parse(text, source)
    begin = since.timestamp() if since else 0.0
    asked = _Asked(reward, floor, max_step, half_life, rate, begin)
    found, weights = _proposed(blend, asked, journal)
    changes = write and found["kind"] != "stay"
    if changes:
        _write(Path(source), text, weights)
    if as_json:
        layout.show_json({**found, "written": changes})
    else:
        mix_tables.show(console, found)
        layout.say(console, _end(source, found["kind"] != "stay", changes), "bold")
    if changes:
        raise typer.Exit(WRITTEN)


def _write(path: Path, before: str, weights: Mapping[str, float]) -> None:
    """Put weights into the file whose text was `before`."""

    def changed(text: str) -> str:
        if text != before:
            raise ConfigError(f"'{path}' has changed meanwhile; run the command again.")
        return with_value(text, ("selection", "weights"), weights, str(path))

    edit(path, changed)


def _end(source: str, moves: bool, written: bool) -> str:
    if written:
        return f"Written into {source}; 'blended apply {source}' makes it so."
    if moves:
        return f"Nothing was changed; --write puts it into {source}."
    return "The mix stays as it is."


def _proposed(
    blend: BlendConfig, asked: _Asked, url: str | None
) -> tuple[dict[str, Any], dict[str, float]]:
    """The proposal as a document, and the weights that it means."""
    # These imports take a while; the other commands of `blended` do not need them.
    from blended.experiments import stored_experiments
    from blended.learning import mix_setting
    from blended.learning.ascent import Rules
    from blended.learning.mix import propose
    from blended.learning.mix_document import document
    from blended.router.blend import definitions

    now = time.time()
    setting = mix_setting.setting(blend, now)
    name = setting.experiment.name
    ceilings = mix_setting.ceilings(blend, asked.rate) if asked.rate else {}
    rules = Rules(asked.floor, asked.max_step, ceilings)
    [wanted] = [d for d in definitions(blend) if d.name == name]
    with opened(url) as store:
        definition = stored_experiments.find(store, name).definition
        if definition.deciding != wanted.deciding:
            raise ConfigError(
                f"The experiment '{name}' of the file is not the one that the journal knows: other "
                "arms, shares or times. Apply the file, or take the one that runs."
            )
        with progress() as done:
            proposal = propose(
                store,
                definition,
                setting,
                asked.reward,
                rules,
                asked.half_life,
                asked.since,
                now,
                done,
                blend.gpus,
            )
    found = document(proposal, definition.simulated)
    return found, mix_setting.weights(blend, proposal.move.shares)
