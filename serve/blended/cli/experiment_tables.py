"""The tables that the command line prints before an experiment has a result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from blended.cli import layout
from blended.config import Arm, BlendConfig
from blended.router.selection import normalise


@dataclass(frozen=True)
class Preview:
    """What a blend's experiments would do: made-up users by experiment and arm, and real ones.

    `users` are experiment, arm and the reason for none, by the name of the user.
    """

    config: BlendConfig
    made_up: int
    counts: Mapping[str, Mapping[str, int]]
    users: Mapping[str, tuple[str, str, str]]
    notes: Sequence[str]

    def document(self) -> dict[str, Any]:
        """All of it for programs."""
        keys = ("experiment", "arm", "reason")
        return {
            "experiments": {
                e.name: [
                    {
                        "arm": arm.id,
                        "share": arm.share / sum(other.share for other in e.arms),
                        "distribution": dict(_distribution(self.config, arm)),
                        "policy": _policy(self.config, arm),
                        "adaptive": arm.adaptive,
                        "made_up_users": self.counts[e.name].get(arm.id, 0),
                    }
                    for arm in e.arms
                ]
                for e in self.config.experiments
            },
            "made_up_users": self.made_up,
            "users": {u: dict(zip(keys, found, strict=True)) for u, found in self.users.items()},
            "notes": list(self.notes),
        }


def show_preview(console: Console, preview: Preview) -> None:
    """Each experiment's arms: their shares, their distributions, and users in them."""
    for experiment in preview.config.experiments:
        low, high = experiment.users
        title = (
            f"{experiment.name}: {experiment.start:%F} to {experiment.end:%F}, "
            f"{experiment.eligible} users from {low:.0%} to {high:.0%} of layer {experiment.layer}"
        )
        counts, rows = preview.counts[experiment.name], list[list[str]]()
        total = sum(arm.share for arm in experiment.arms)
        for arm in experiment.arms:
            distribution = _distribution(preview.config, arm)
            drawn = ", ".join(f"{c} {p:.1%}" for c, p in distribution.items() if p)
            if policy := _policy(preview.config, arm):
                drawn = f"by {policy}; where it fails {drawn}"
            drawn += " (adaptive: as the blend's weights move)" if arm.adaptive else ""
            control = " (control)" if arm.id == experiment.control else ""
            count = f"{counts.get(arm.id, 0):,}"
            rows.append([arm.id + control, f"{arm.share / total:.1%}", drawn, count])
        outside = preview.made_up - sum(counts.values())
        rows.append(["in none", "", "the blend's own", f"{outside:,}"])
        heads = ("arm", "share", "distribution", f"of {preview.made_up:,} made-up users")
        layout.show(console, heads, rows, title)
    if preview.users:
        heads = ("user", "experiment", "arm", "why in none")
        layout.show(console, heads, [[user, *found] for user, found in preview.users.items()])
    for note in preview.notes:
        layout.say(console, f"Note: {note}")


def _distribution(config: BlendConfig, arm: Arm) -> Mapping[str, float]:
    return normalise(config.arm_weights(arm)).by_component


def _policy(config: BlendConfig, arm: Arm) -> str | None:
    policy = config.policy_of(arm)
    return policy.reference if policy else None


def show_plan(
    console: Console, needs: Mapping[tuple[str, str], Any], lift: float, day: int, power: float
) -> None:
    """Users and days by measure and kind of interval."""
    title = f"To show {lift:+.1%} on day {day} with a power of {power:.0%}"
    rows = [[*names, f"{need.users:,}", f"{need.days:,}"] for names, need in needs.items()]
    layout.show(console, ("measure", "interval", "users", "days"), rows, title)
