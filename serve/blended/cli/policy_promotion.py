"""Writes a policy's name and version into a blend's text, which keeps everything else."""

from blended.cli.blend_editing import with_value
from blended.config import BlendConfig, loading
from blended.errors import ConfigError
from blended.learning.policy import Policy


def promoted(text: str, policy: Policy, place: str | None, source: str) -> str:
    """The text with the policy in `selection`, or in the arm `EXPERIMENT/ARM` that `place` names.

    Raises:
        ConfigError: the text is no blend, or would be none with the policy; there is no such arm.
    """
    blend = loading.parse(text, source)
    _check(blend, policy)
    if place is not None:
        return with_value(text, (*_arm(blend, place), "policy"), policy.reference, source)
    named = {"name": policy.name, "version": policy.version, "floor": policy.floor}
    return with_value(text, ("selection", "policy"), named, source)


def _arm(blend: BlendConfig, place: str) -> tuple[str | int, ...]:
    for e, experiment in enumerate(blend.experiments):
        for a, arm in enumerate(experiment.arms):
            if f"{experiment.name}/{arm.id}" == place:
                return "experiments", e, "arms", a
    raise ConfigError(f"There is no arm '{place}'; write EXPERIMENT/ARM as the file names them.")


def _check(blend: BlendConfig, policy: Policy) -> None:
    drawn = {name for name, weight in blend.weights.items() if weight > 0}
    if unknown := drawn - set(policy.components):
        raise ConfigError(
            f"The policy '{policy.reference}' does not know '{min(unknown)}', which has a weight; "
            "fit a policy to draws of all components."
        )
