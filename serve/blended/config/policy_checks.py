"""Checks between policies and the other fields of a blend's configuration, on the raw data."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blended.config.inconsistency import Inconsistency, Path, error, is_number


def of_data(data: Mapping[str, Any], components: Sequence[str]) -> Iterator[Inconsistency]:
    """The contradictions around policies; data with other mistakes are skipped."""
    selection = data.get("selection")
    blend = selection if isinstance(selection, Mapping) else {}
    yield from _one(("selection",), blend, blend.get("weights"), components, blend)
    experiments = data.get("experiments")
    for e, experiment in enumerate(experiments if isinstance(experiments, list | tuple) else ()):
        arms = experiment.get("arms") if isinstance(experiment, Mapping) else None
        for a, arm in enumerate(arms if isinstance(arms, list | tuple) else ()):
            if isinstance(arm, Mapping):
                weights = arm.get("weights") or blend.get("weights")
                path: Path = ("experiments", e, "arms", a)
                yield from _one(path, arm, weights, components, blend)


def _one(
    path: Path,
    given: Mapping[str, Any],
    weights: Any,
    components: Sequence[str],
    blend: Mapping[str, Any],
) -> Iterator[Inconsistency]:
    is_arm, policy = path != ("selection",), given.get("policy")
    if policy is None and is_arm and given.get("weights") is None:
        policy = blend.get("policy")  # the arm has the blend's own
    if policy is None:
        return
    if given.get("per_conversation") or blend.get("per_conversation"):
        message = (
            "a policy gives every response its own probabilities, which the seats of a "
            "conversation would undo; remove per_conversation, or the policy"
        )
        yield (*path, "policy"), policy, error(message)
    floor = policy.get("floor", 0.1) if isinstance(policy, Mapping) else 0.1
    drawn = _drawn(weights, components)
    if is_number(floor) and drawn > 1 and floor * drawn >= 1:
        message = (
            f"a floor of {floor:g} for each of {drawn} components leaves nothing to decide; write "
            f"less than {1 / drawn:.3g}"
        )
        yield (*path, "policy"), policy, error(message)


def _drawn(weights: Any, components: Sequence[str]) -> int:
    """The number of components that may be drawn."""
    if not isinstance(weights, Mapping):
        return len(components)
    return sum(is_number(weight) and weight > 0 for weight in weights.values())
