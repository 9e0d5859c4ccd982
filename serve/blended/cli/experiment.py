"""`blended experiment`: the users' arms, the number of users needed, and the results."""

import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from blended.cli import components, layout
from blended.cli import experiment_tables as shown
from blended.cli.opened_journal import Address, opened, progress
from blended.cli.times import moment, past
from blended.config import BlendConfig, Experiment, loading
from blended.errors import ConfigError, NotEnoughData
from blended.launch import state

if TYPE_CHECKING:
    from blended.experiments.report import Report

app = typer.Typer(help="Experiments: arms are distributions over models.", no_args_is_help=True)
app.command()(components.components)
console = Console()

_MADE_UP = 10_000

Source = Annotated[str, typer.Argument(help="A YAML file, or the name of a preset.")]


@app.command()
def preview(
    source: Source,
    users: Annotated[
        list[str] | None, typer.Argument(help="Users as clients name them in requests.")
    ] = None,
    at: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Now without it.")
    ] = None,
    as_json: layout.AsJson = False,
) -> None:
    """Show the arms, their shares and the arms of users, without enrolling any user."""
    from blended.experiments import exclusion

    config = loading.load(source)
    if not config.experiments:
        raise ConfigError(f"'{source}' has no experiments; add some under 'experiments:'.")
    when = (at or datetime.now(UTC)).timestamp()
    names = [f"user-{i}" for i in range(_MADE_UP)]
    found = shown.Preview(
        config,
        len(names),
        {e.name: _counts(config, e, names) for e in config.experiments},
        _assigned(config, users or [], when),
        exclusion.of_everybody(config.experiments, config.holdout, when),
    )
    if as_json:
        layout.show_json(found.document())
        return
    shown.show_preview(console, found)


def _counts(config: BlendConfig, experiment: Experiment, users: list[str]) -> Counter[str]:
    """The number of made-up users in each arm while the experiment runs."""
    from blended.experiments.assignment import assign

    at = experiment.start.timestamp()
    found = (assign([experiment], config.holdout, user, at) for user in users)
    return Counter(a.arm for a in found if a is not None and a.experiment is not None)


def _assigned(config: BlendConfig, users: list[str], at: float) -> dict[str, tuple[str, str, str]]:
    """Experiment, arm, and the reason for none, of users as clients name them."""
    from blended.experiments import exclusion
    from blended.experiments.assignment import assign
    from blended.journal.identity import Identity

    if not users:
        return {}
    identity, found = Identity(state.journal_secret()), dict[str, tuple[str, str, str]]()
    for user in users:
        name = identity.user(user)
        assigned = assign(config.experiments, config.holdout, name, at)
        if assigned is None or assigned.experiment is None:
            reason = exclusion.of_user(config.experiments, config.holdout, name, at)
            found[user] = ("-", assigned.arm if assigned else "-", reason)
        else:
            found[user] = (assigned.experiment, assigned.arm, "")
    return found


@app.command()
def plan(
    lift: Annotated[float, typer.Option(min=0.001, help="The effect to show: 0.05 is +5 %.")],
    retention: Annotated[
        float, typer.Option(min=0.001, max=0.999, help="Control's R(k) on that day.")
    ],
    users_per_day: Annotated[float, typer.Option(min=0.1, help="New users of both arms a day.")],
    day: Annotated[int, typer.Option(min=1, help="The day k after joining.")] = 30,
    variation: Annotated[
        float, typer.Option(min=0.01, help="Coefficient of variation of users' time on a day.")
    ] = 1.0,
    test_share: Annotated[float, typer.Option(min=0.01, max=0.99)] = 0.5,
    power: Annotated[float, typer.Option(min=0.5, max=0.999)] = 0.8,
) -> None:
    """Users and days that an experiment of two arms needs to show an effect of a given size."""
    from blended.experiments import power as powers

    if retention * (1 + lift) >= 1:
        raise ConfigError(
            f"A lift of {lift:+.0%} on a retention of {retention:.0%} is a retention of "
            f"{retention * (1 + lift):.0%}, which no arm can have; --lift 0.05 is +5 %."
        )
    variances = {
        "retention": powers.retention_variance(retention),
        "engagement": powers.engagement_variance(retention, variation),
    }
    needs = {
        (name, kind): powers.need(
            powers.users_needed(variance, lift, power, test_share, kind == "always valid"),
            users_per_day,
            day,
        )
        for name, variance in variances.items()
        for kind in ("fixed horizon", "always valid")
    }
    shown.show_plan(console, needs, lift, day, power)


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="The experiment.")],
    journal: Address = None,
    as_json: layout.AsJson = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report with its plots, too.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=past, metavar="TIME", help="Now without it.")
    ] = None,
) -> None:
    """Retention, engagement and the other measures by arm, from the journal."""
    from blended.cli import experiment_report
    from blended.experiments.report import document

    now = time.time() if until is None else until.timestamp()
    found = document(_report(name, journal, now))
    if html is not None:
        from blended.experiments.page import page
        from blended.html import write

        write(html, page(found))
    if as_json:
        layout.show_json(found)
        return
    experiment_report.show(console, found)
    if html is not None:
        console.print(f"The plots are in {html}.", highlight=False, soft_wrap=True)


def _report(name: str, url: str | None, now: float) -> "Report":
    from blended.experiments import stored_experiments as experiments
    from blended.experiments.analysis import analyse
    from blended.experiments.enrolment import read
    from blended.experiments.mixes_over_time import drawn_mixes
    from blended.experiments.report import Report

    with opened(url) as store:
        known = experiments.find(store, name)
        if now < known.definition.start:
            begins = datetime.fromtimestamp(known.definition.start, UTC)
            raise NotEnoughData(
                f"The experiment '{name}' begins on {begins:%F %R} UTC; a report needs a day of it."
            )
        with progress() as done:
            panel = read(store, known.definition, now, done, known.planned_end)
        realised = experiments.realised(store, known.definition, panel.end)
        mixes = {
            arm.id: drawn_mixes(store, known.definition, arm.id, panel.end)
            for arm in known.definition.arms
            if arm.adaptive
        }
    return Report(analyse(panel, now), realised, known.notes, mixes)
