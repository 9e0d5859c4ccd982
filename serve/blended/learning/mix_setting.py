"""What a blend's file has to say before its mix may move: the experiment around it, and capacities.

What blending is worth is no property of a component, so that no value of a component can tell it. A
tenth of the users at least keep the uniform mix, whatever the others draw.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from blended.config import Arm, BlendConfig, Experiment, RemoteComponent
from blended.errors import ConfigError
from blended.experiments.mixes_over_time import Shares

LEAST_HOLDBACK = 0.1
_ROUNDING = 1e-9
_RUNS = timedelta(days=365)


@dataclass(frozen=True)
class Setting:
    """A blend whose mix may move: its experiment, the two arms, and the shares that it draws by.

    Components that are never drawn have no share.
    """

    blend: BlendConfig
    experiment: Experiment
    adaptive: Arm
    holdback: Arm
    shares: Shares


def setting(blend: BlendConfig, now: float) -> Setting:
    """The experiment that a mix may move in, at a time in Unix seconds.

    Raises:
        ConfigError: there is none, or several, or it is not of this form; with what to write.
    """
    shares = drawn_shares(blend)
    if len(shares) < 2:
        raise ConfigError(f"'{blend.name}' draws '{min(shares)}' alone: there is no mix to move.")
    found = [e for e in blend.experiments if _runs(e, now) and any(a.adaptive for a in e.arms)]
    if len(found) > 1:
        names = " and ".join(f"'{e.name}'" for e in found)
        raise ConfigError(f"{names} run with adaptive arms: end all but one of them.")
    if not found:
        raise _refused(blend, now, "No experiment with an adaptive arm runs.")
    for reason in _reasons(blend, found[0]):
        raise _refused(blend, now, reason)
    adaptive, holdback = sorted(found[0].arms, key=lambda arm: not arm.adaptive)
    return Setting(blend, found[0], adaptive, holdback, shares)


def drawn_shares(blend: BlendConfig) -> dict[str, float]:
    """The shares of the components that a blend draws."""
    total = sum(blend.weights.values())
    return {name: weight / total for name, weight in blend.weights.items() if weight}


def _runs(experiment: Experiment, now: float) -> bool:
    return experiment.start.timestamp() <= now < experiment.end.timestamp()


def _reasons(blend: BlendConfig, experiment: Experiment) -> Iterator[str]:
    """What is wrong with the experiment around a mix, the first thing first."""
    head = f"The experiment '{experiment.name}'"
    others = [arm for arm in experiment.arms if not arm.adaptive]
    if len(experiment.arms) != 2 or len(others) != 1:
        yield f"{head} has other arms than a uniform one and an adaptive one."
        return
    [holdback] = others
    if experiment.control != holdback.id:
        yield f"{head} has the adaptive arm as its control; the uniform one has to be."
    weights = {name: weight for name, weight in blend.arm_weights(holdback).items() if weight}
    if weights.keys() != drawn_shares(blend).keys() or len(set(weights.values())) != 1:
        yield f"The arm '{holdback.id}' is not uniform over the components that the blend draws."
    low, high = experiment.users
    part = (high - low) * holdback.share / sum(arm.share for arm in experiment.arms)
    if part < LEAST_HOLDBACK - _ROUNDING:
        yield (
            f"The uniform arm '{holdback.id}' of '{experiment.name}' has {part:.1%} of the users, "
            f"and needs {LEAST_HOLDBACK:.0%} at least."
        )
    if policy := blend.policy_of(next(arm for arm in experiment.arms if arm.adaptive)):
        yield f"The policy {policy.reference} draws by the request: there are no weights to move."
    if blend.selection.per_conversation or any(arm.per_conversation for arm in experiment.arms):
        yield (
            "With 'per_conversation' a record has the shares of its conversation's seats, and not "
            "those of the mix: nobody could tell when it moved."
        )


def _refused(blend: BlendConfig, now: float, reason: str) -> ConfigError:
    start = datetime.fromtimestamp(now, UTC) + timedelta(days=1)
    uniform = ", ".join(f"{name}: 1" for name in drawn_shares(blend))
    return ConfigError(
        f"{reason} The mix of '{blend.name}' may move in an experiment like this one, which keeps "
        f"the uniform mix for a tenth of the users. Write it into the file, without "
        f"'per_conversation' and 'policy', and apply it:\n"
        f"experiments:\n"
        f"  - name: mix\n"
        f"    start: {start:%F}\n"
        f"    end: {start + _RUNS:%F}\n"
        f"    control: uniform\n"
        f"    arms:\n"
        f"      - {{id: uniform, share: 1, weights: {{{uniform}}}}}\n"
        f"      - {{id: adaptive, share: 9, adaptive: true}}"
    )


def ceilings(blend: BlendConfig, rate: float) -> dict[str, float]:
    """The largest share of each component that its replicas have the capacity for.

    `rate` are the blend's responses per second. Components without a known capacity have none.
    """
    found = dict[str, float]()
    for component in blend.components:
        if isinstance(component, RemoteComponent) or component.replicas.capacity is None:
            continue
        most = _capacity(component.replicas.capacity, component.replicas.max)
        found[component.id] = min(1.0, most / rate)
    return found


def _capacity(capacity: tuple[float, ...], replicas: int) -> float:
    """Responses per second of so many replicas; each beyond the list adds what the last one did."""
    if replicas <= len(capacity):
        return capacity[replicas - 1]
    last = capacity[-1] - (capacity[-2] if len(capacity) > 1 else 0.0)
    return capacity[-1] + (replicas - len(capacity)) * last


def weights(blend: BlendConfig, shares: Mapping[str, float]) -> dict[str, float]:
    """Shares as the weights of a file: those of a uniform mix are 1."""
    if len(set(shares.values())) == 1:
        shares = dict.fromkeys(shares, 1.0)
    return {name: shares.get(name, 0.0) for name in blend.weights}
