"""How many replicas of which component: python -m cluster.capacity.plan BLEND --rate 20 …

The plan follows from the weights, a rate of responses, their lengths, a service level, and the
profile of one replica of each component (`python -m cluster.capacity.profile`). The service level
is the percentage of responses whose first token is in time, whose stream is fast enough, and that
come from the component that was drawn. A replica takes as many requests as it can answer so
(max_ongoing_requests), queues a few more (max_queued_requests) and refuses the rest; the router
then asks another replica or component. Users in an experiment have the weights of their arms, and
a policy draws by the request: give the shares over all requests with --weights. With --user and
--turns the prompts that no cache holds are computed from the blend: its members, its seats of a
conversation, its look-ahead. A component with a gpu_fraction is planned as if all replicas on its
card computed all the time. A component with best_of shows nothing before its candidates are judged:
--ttft then holds for all of that, up to the longest of them. --picture draws the rate and the
replicas of 24 hours.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import rich
from rich.table import Table

from blended.config import BlendConfig
from blended.config.loading import load
from blended.errors import BlendedError, ConfigError
from blended.internal import REWARD
from cluster.capacity import blend_file, conversation, profile_files, reward_profile
from cluster.capacity.conversation import Talk
from cluster.capacity.planning import CapacityPlan, ComponentPlan, Demand, Report, hours, plan
from cluster.capacity.queueing import Lengths, ServiceLevel

_COLUMNS = (
    "component",
    "share",
    "per s",
    "replicas",
    "target",
    "at most",
    "GPUs",
    "missed",
)


# From this rate on, the responses per second are shown without decimals.
_WHOLE_RATE = 1000
# A plan that takes longer says what it is doing.
_SILENT_S = 2.0


class Progress:
    """Prints what is being planned, once that has taken two seconds; `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._began = clock, clock()

    def __call__(self, what: str) -> None:
        """Report the next step."""
        if self._clock() - self._began >= _SILENT_S:
            print(f"Planning {what} …", file=sys.stderr, flush=True)


def planned(
    blend: BlendConfig, options: argparse.Namespace, report: Report | None = None
) -> CapacityPlan:
    """The plan of a blend.

    Raises:
        ConfigError: a profile is missing or does not fit, or no plan meets the level.
    """
    lengths = _lengths(blend, options)
    served = [c for c in blend.components if c.id in blend.hardware]
    reward_s = _reward_s(blend, options)
    found = profile_files.load_all(served, options.profiles, options.blend)
    for name, profile in found.items():
        profile_files.refuse_other_lengths(name, profile, lengths[name])
    try:
        level = ServiceLevel(options.ttft, options.itl, options.goodput)
        whole = next(iter(lengths.values()))
        demand = Demand(hours(options.rate), whole, level, options.spare, lengths, reward_s)
        curves = {name: profile.curve() for name, profile in found.items()}
        prices = _prices(blend, options.price)
        made = plan(blend, curves, demand, prices, report or Progress())
    except ValueError as exc:
        raise ConfigError(f"There is no plan: {exc}") from exc
    return replace(made, predicted=tuple(name for name, p in found.items() if p.predicted))


def _reward_s(blend: BlendConfig, options: argparse.Namespace) -> float:
    """Seconds of a replica of the reward model for a response, by its profile.

    Raises:
        ConfigError: the profile is missing, or of fewer candidates than some response has.
    """
    most = max((b.k for c in blend.components if (b := blend.best_of(c)) is not None), default=0)
    if not most:
        return 0.0
    found = reward_profile.load_profile(blend, options.profiles, options.blend)
    if most > found.best_of:
        raise ConfigError(
            f"The profile of the reward model is of {found.best_of} candidates for a response, and "
            f"the blend has {most}; measure it with --best-of {most}."
        )
    return found.seconds


def _lengths(blend: BlendConfig, options: argparse.Namespace) -> dict[str, Lengths]:
    """The lengths of each component's requests, as given or from a conversation's.

    Raises:
        ConfigError: neither a prompt nor a conversation is given, or both.
    """
    talk = options.user is not None and options.turns is not None
    if talk == (options.prompt is not None):
        raise ConfigError("Give either --prompt, or --user and --turns of a conversation.")
    if not talk:
        return dict.fromkeys(blend.hardware, Lengths(options.prompt, options.response))
    found = conversation.lengths(blend, Talk(options.user, options.response, options.turns))
    # A component that is never drawn needs no replica for any length.
    whole = next(iter(found.values()))
    return {name: found.get(name, whole) for name in blend.hardware}


def weighted(blend: BlendConfig, weights: Mapping[str, float]) -> BlendConfig:
    """The blend with other weights.

    Raises:
        ConfigError: they are not those of its components.
    """
    if weights.keys() != blend.weights.keys():
        raise ConfigError(
            f"--weights names {', '.join(weights) or 'no component'}; name each of "
            f"{', '.join(blend.weights)}."
        )
    selection = blend.selection.model_copy(update={"weights": dict(weights)})
    return blend.model_copy(update={"selection": selection})


def table(
    blend: BlendConfig, found: CapacityPlan, before: CapacityPlan | None, spare: int
) -> Table:
    """The plan as text, with the replicas of the plan `before` it, if there is one."""
    money = "" if found.money_per_1000 is None else f", {found.money_per_1000:.4g} in your currency"
    view = Table(
        title=f"{blend.name}: replicas, {spare} of each to spare",
        caption=(
            f"{found.routers} routers, {found.gpus} GPUs; 1,000 responses take "
            f"{found.gpu_seconds_per_1000:.4g} GPU seconds{money}{_predicted(found)}"
        ),
    )
    for column in _COLUMNS:
        view.add_column(column)
    for name, c in found.components.items():
        earlier = before.components[name] if before else c
        view.add_row(
            name,
            f"{c.share:.1%}",
            f"{c.rate:,.0f}" if c.rate >= _WHOLE_RATE else f"{c.rate:.3g}",
            _moved(_replicas(earlier), _replicas(c)),
            f"{c.target_ongoing_requests:g}",
            str(c.max_ongoing_requests),
            _moved(f"{earlier.gpus:g}", f"{c.gpus:g}"),
            f"{c.missed:.2%}",
        )
    if (reward := found.reward) is not None:
        replicas = f"{reward.min_replicas} to {reward.max_replicas}"
        if reward.min_replicas == reward.max_replicas:
            replicas = str(reward.max_replicas)
        view.add_row(REWARD, "", f"{reward.rate:.3g}", replicas, "", "", f"{reward.gpus:g}", "")
    return view


def main(arguments: Sequence[str] | None = None) -> int:
    """Plan; returns the exit status: 2 if there is no plan."""
    options = _options(arguments)
    try:
        blend = load(options.blend)
        before = None
        if blend.selection.policy is not None and not options.weights:
            raise ConfigError(
                f"The policy {blend.selection.policy.reference} draws by the request: give the "
                "shares that it draws by with --weights; `blended learn evaluate` prints them."
            )
        if options.weights:
            before, blend = planned(blend, options), weighted(blend, options.weights)
        found = planned(blend, options)
        if options.write:
            blend_file.write(Path(options.blend), found, options.weights or None)
        if options.picture:
            _draw(options.picture, blend, hours(options.rate), found)
    except BlendedError as exc:
        print(exc, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(asdict(found)))
    else:
        rich.print(table(blend, found, before, options.spare))
    return 0


def _draw(path: Path, blend: BlendConfig, rates: Sequence[float], found: CapacityPlan) -> None:
    if len(rates) == 1:
        raise ConfigError("A picture shows a day: give --rate with 24 numbers and commas.")
    # Matplotlib takes a while to load, which a plan without a picture need not wait for.
    from cluster.capacity.plan_picture import save

    try:
        save(path, blend.name, rates, found)
    except (OSError, ValueError) as exc:
        raise ConfigError(
            f"The picture '{path}' cannot be written ({exc}); name a file ending in .svg or .png."
        ) from exc


def _predicted(found: CapacityPlan) -> str:
    if not found.predicted:
        return ""
    names = ", ".join(found.predicted)
    return f"; predicted, not measured: {names} (means keep the level, not 99 of 100)"


def _replicas(component: ComponentPlan) -> str:
    low, high = component.min_replicas, component.max_replicas
    return str(low) if low == high else f"{low} to {high}"


def _moved(before: str, after: str) -> str:
    return after if before == after else f"{before} → {after}"


def _prices(blend: BlendConfig, given: Mapping[str, float]) -> Mapping[str, float] | None:
    used = {h.accelerator for h in blend.hardware.values()} - {"cpu"}
    if given and (missing := sorted(used - given.keys())):
        raise ConfigError(f"There is no price of {', '.join(missing)}; write --price NAME=PRICE.")
    return given or None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cluster.capacity.plan", description=__doc__)
    parser.add_argument("blend", help="a preset's name, or a file")
    add = parser.add_argument
    add("--rate", type=_rates, required=True, help="responses per second: one, or 24 with commas")
    add("--prompt", type=float, help="tokens of a prompt that no cache holds, mean")
    add("--user", type=float, help="instead of --prompt: tokens of a user's message, mean")
    add("--turns", type=int, help="with --user: turns of a conversation, mean")
    add("--response", type=float, required=True, help="tokens of a response, mean")
    add("--ttft", type=float, required=True, help="seconds to the first token, at most")
    add("--itl", type=float, required=True, help="seconds between tokens, at most")
    add("--goodput", type=float, default=0.99, help="the share of responses that keep to it")
    add("--spare", type=int, default=1, help="replicas of each component that may be lost")
    add("--weights", type=_numbers, default={}, help="NAME=WEIGHT,…: what changes with others")
    add("--price", type=_numbers, default={}, help="ACCELERATOR=PRICE,…: of a GPU for an hour")
    add("--profiles", type=Path, default=profile_files.FOLDER, help="the folder of the profiles")
    add("--write", action="store_true", help="put the numbers into the blend's file")
    add("--picture", type=Path, help="draw the 24 hours into this file, .svg or .png")
    add("--json", action="store_true", help="print the plan as JSON")
    return parser.parse_args(arguments)


def _rates(text: str) -> list[float]:
    return [float(rate) for rate in text.split(",")]


def _numbers(text: str) -> dict[str, float]:
    return {name: float(n) for name, _, n in (part.partition("=") for part in text.split(","))}


if __name__ == "__main__":
    sys.exit(main())
