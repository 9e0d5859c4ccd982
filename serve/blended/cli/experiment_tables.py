"""The tables that the command line prints of experiments."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from blended.config import BlendConfig
from blended.router.selection import normalise

_PAPER = {
    "delta_zeta": "Δζ retention, day 1",
    "delta_beta": "Δβ retention, slope",
    "delta_alpha": "Δα engagement, day 1",
    "delta_gamma": "Δγ engagement, slope",
}


def preview_tables(
    config: BlendConfig, counts: Mapping[str, Mapping[str, int]], users: int
) -> Iterator[Table]:
    """Each experiment's arms: their shares, their distributions, and made-up users in them."""
    for experiment in config.experiments:
        low, high = experiment.users
        title = (
            f"{experiment.name}: {experiment.start:%F} to {experiment.end:%F}, "
            f"{experiment.eligible} users from {low:.0%} to {high:.0%} of layer {experiment.layer}"
        )
        table = Table("arm", "share", "distribution", f"of {users:,} made-up users", title=title)
        total = sum(arm.share for arm in experiment.arms)
        for arm in experiment.arms:
            distribution = normalise(config.arm_weights(arm)).by_component
            drawn = ", ".join(f"{c} {p:.1%}" for c, p in distribution.items() if p)
            control = " (control)" if arm.id == experiment.control else ""
            count = counts[experiment.name].get(arm.id, 0)
            table.add_row(arm.id + control, f"{arm.share / total:.1%}", drawn, f"{count:,}")
        outside = users - sum(counts[experiment.name].values())
        table.add_row("in none", "", "the blend's own", f"{outside:,}")
        yield table


def user_table(assigned: Mapping[str, tuple[str, str]]) -> Table:
    """The experiment and arm of each user."""
    table = Table("user", "experiment", "arm")
    for user, found in assigned.items():
        table.add_row(user, *found)
    return table


def plan_table(needs: Mapping[tuple[str, str], Any], lift: float, day: int, power: float) -> Table:
    """Users and days by measure and kind of interval."""
    title = f"To show {lift:+.1%} on day {day} with a power of {power:.0%}"
    table = Table("measure", "interval", "users", "days", title=title)
    for (measure, kind), need in needs.items():
        table.add_row(measure, kind, f"{need.users:,}", f"{need.days:,}")
    return table


def report_parts(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The report as tables; the verdict is last, where users see it."""
    yield _head(document)
    yield _arms(document)
    if document["paper"]:
        yield _paper(document)
    if document["effects"]:
        yield _effects(document, "goals (p corrected for all arms and goals)", is_goal=True)
        yield _effects(document, "guardrails (p as it is)", is_goal=False)
    for sentence in (*document["missing"], *document["notes"]):
        yield Text(f"Note: {sentence}", style="yellow")
    for sentence in document["verdict"]:
        yield Text(sentence, style="bold")


def _head(document: Mapping[str, Any]) -> Text:
    simulated = "SIMULATED: no people were asked.\n" if document["simulated"] else ""
    left_out = document["left_out"]
    return Text(
        f"{simulated}{document['experiment']}: {document['start']} to {document['until']}, control "
        f"'{document['control']}', {document['interval']} intervals of 95 %, curves to day "
        f"{document['days']}\nSample ratio mismatch: p = {document['srm']['p']:.3g}; left out: "
        f"{left_out['in_two_arms']:,} users met in two arms, {left_out['known_before']:,} who had "
        "come before the start"
    )


def _arms(document: Mapping[str, Any]) -> Table:
    table = Table("arm", "users", "share", "responses", "drawn (probability)")
    for name, arm in document["arms"].items():
        drawn = ", ".join(
            f"{component} {c['drawn']:.1%} ({c['probability']:.1%})"
            for component, c in arm["components"].items()
            if c["probability"] and c["drawn"] is not None
        )
        users, responses = f"{arm['users']:,}", f"{arm['responses']:,}"
        table.add_row(name, users, f"{arm['share']:.1%}", responses, drawn)
    return table


def _paper(document: Mapping[str, Any]) -> Table:
    table = Table("arm", *_PAPER.values(), title="log ratio to control = intercept + slope · log k")
    for arm, numbers in document["paper"].items():
        table.add_row(arm, *(_number(numbers[name]) for name in _PAPER))
    return table


def _number(number: Mapping[str, float]) -> str:
    return f"{number['value']:+.3f} [{number['low']:+.3f}, {number['high']:+.3f}]"


def _effects(document: Mapping[str, Any], title: str, is_goal: bool) -> Table:
    prefix = "always_valid_" if document["interval"] == "always valid" else ""
    table = Table("measure", "arm", "control", "value", "lift, 95 % interval", "p", title=title)
    for arm, effects in document["effects"].items():
        for measure, effect in effects.items():
            corrected = effect["corrected_p"]
            if (corrected is not None) == is_goal:
                low, high = effect[f"{prefix}low"], effect[f"{prefix}high"]
                table.add_row(
                    document["labels"][measure],
                    arm,
                    f"{effect['control']:.4g}",
                    f"{effect['value']:.4g}",
                    f"{effect['lift']:+.1%} [{low:+.1%}, {high:+.1%}]",
                    f"{corrected if is_goal else effect['p']:.2g}",
                )
    return table
