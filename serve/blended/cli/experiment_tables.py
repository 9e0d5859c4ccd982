"""The tables that the command line prints of experiments."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from blended.cli import layout
from blended.config import Arm, BlendConfig
from blended.router.selection import normalise

_PAPER = {
    "delta_zeta": "Δζ retention, day 1",
    "delta_beta": "Δβ retention, slope",
    "delta_alpha": "Δα engagement, day 1",
    "delta_gamma": "Δγ engagement, slope",
}


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
    _sentences(console, [f"Note: {note}" for note in preview.notes])


def _distribution(config: BlendConfig, arm: Arm) -> Mapping[str, float]:
    return normalise(config.arm_weights(arm)).by_component


def show_plan(
    console: Console, needs: Mapping[tuple[str, str], Any], lift: float, day: int, power: float
) -> None:
    """Users and days by measure and kind of interval."""
    title = f"To show {lift:+.1%} on day {day} with a power of {power:.0%}"
    rows = [[*names, f"{need.users:,}", f"{need.days:,}"] for names, need in needs.items()]
    layout.show(console, ("measure", "interval", "users", "days"), rows, title)


def show_report(console: Console, document: Mapping[str, Any]) -> None:
    """The report as tables; the verdict is last, where users see it."""
    _sentences(console, _head(document))
    _show_arms(console, document)
    if document["paper"]:
        _show_paper(console, document)
    if document["effects"]:
        title = "goals (p corrected for all arms and goals)"
        _show_effects(console, document, title, is_goal=True)
        _show_effects(console, document, "guardrails (p as it is)", is_goal=False)
    notes = [f"Note: {sentence}" for sentence in (*document["missing"], *document["notes"])]
    _sentences(console, notes, "yellow")
    _sentences(console, document["verdict"], "bold")


def _sentences(console: Console, sentences: Iterable[str], style: str = "") -> None:
    for sentence in sentences:
        console.print(Text(layout.wrapped(sentence, console.width), style), soft_wrap=True)


def _head(document: Mapping[str, Any]) -> Iterator[str]:
    if document["simulated"]:
        yield "SIMULATED: no people were asked."
    left_out = document["left_out"]
    yield (
        f"{document['experiment']}: {document['start']} to {document['until']}, control "
        f"'{document['control']}', {document['interval']} intervals of 95 %, curves to day "
        f"{document['days']}"
    )
    yield (
        f"Sample ratio mismatch: p = {document['srm']['p']:.3g}; left out: "
        f"{left_out['in_two_arms']:,} users met in two arms, {left_out['known_before']:,} who had "
        "come before the start"
    )


def _show_arms(console: Console, document: Mapping[str, Any]) -> None:
    rows = []
    for name, arm in document["arms"].items():
        drawn = ", ".join(
            f"{component} {c['drawn']:.1%} ({c['probability']:.1%})"
            for component, c in arm["components"].items()
            if c["probability"] and c["drawn"] is not None
        )
        users, responses = f"{arm['users']:,}", f"{arm['responses']:,}"
        rows.append([name, users, f"{arm['share']:.1%}", responses, drawn])
    layout.show(console, ("arm", "users", "share", "responses", "drawn (probability)"), rows)


def _show_paper(console: Console, document: Mapping[str, Any]) -> None:
    rows = [
        [arm, *(_number(numbers[name]) for name in _PAPER)]
        for arm, numbers in document["paper"].items()
    ]
    title = "log ratio to control = intercept + slope · log k"
    layout.show(console, ("arm", *_PAPER.values()), rows, title)


def _number(number: Mapping[str, float]) -> str:
    return f"{number['value']:+.3f} [{number['low']:+.3f}, {number['high']:+.3f}]"


def _show_effects(console: Console, document: Mapping[str, Any], title: str, is_goal: bool) -> None:
    prefix = "always_valid_" if document["interval"] == "always valid" else ""
    rows = []
    for arm, effects in document["effects"].items():
        for measure, effect in effects.items():
            corrected = effect["corrected_p"]
            if (corrected is not None) != is_goal:
                continue
            low, high = effect[f"{prefix}low"], effect[f"{prefix}high"]
            rows.append(
                [
                    document["labels"][measure],
                    arm,
                    f"{effect['control']:.4g}",
                    f"{effect['value']:.4g}",
                    f"{effect['lift']:+.1%} [{low:+.1%}, {high:+.1%}]",
                    f"{corrected if is_goal else effect['p']:.2g}",
                ]
            )
    heads = ("measure", "arm", "control", "value", "lift, 95 % interval", "p")
    layout.show(console, heads, rows, title)
