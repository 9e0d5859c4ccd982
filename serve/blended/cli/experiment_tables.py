"""The tables that the command line prints before an experiment has a result."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from blended.config import BlendConfig
from blended.router.selection import normalise


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
