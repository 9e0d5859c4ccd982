"""A blend as its cluster has it: every deployment in a replica group, on the right GPUs."""

from pydantic import ValidationError

from blended.config import (
    AnyComponent,
    AnyReward,
    BlendConfig,
    RemoteComponent,
    Served,
    VllmComponent,
    VllmReward,
)
from blended.config.loading import problems
from blended.errors import ConfigError
from cluster.settings import ComponentPods, Settings

ROUTER = "router"


def placed(blend: BlendConfig, settings: Settings) -> BlendConfig:
    """The blend with every deployment bound to a group of its own, on the settings' accelerators.

    Raises:
        ConfigError: deployments share a group that take no shares of GPUs, the settings name what
            is not there or has no use, or the blend does not fit their accelerators.
    """
    _refuse_unknown(blend, settings)
    router = blend.router
    replicas = router.replicas.model_copy(
        update={"max_per_node": router.replicas.max_per_node or 1}
    )
    update = {"replicas": replicas, "replica_group": router.replica_group or ROUTER}
    found = blend.model_copy(
        update={
            "components": tuple(_placed(component, settings) for component in blend.components),
            "reward": None if blend.reward is None else _placed_reward(blend.reward, settings),
            "router": router.model_copy(update=update),
        }
    )
    _refuse_shared(found)
    _refuse_unused(found, settings)
    _refuse_wrong(found)
    return found


def by_group(blend: BlendConfig) -> dict[str, list[Served]]:
    """The components on the cluster, and the reward model, by their replica groups.

    Those without one are by their ids.
    """
    found: dict[str, list[Served]] = {}
    for one in blend.served:
        found.setdefault(one.hardware.replica_group or one.id, []).append(one)
    return found


def pods_of(component: Served, settings: Settings) -> ComponentPods:
    """The settings of a component's pods, or of the group in which it shares GPUs."""
    shared = settings.groups.get(component.hardware.replica_group or "")
    return shared or settings.components.get(component.id, ComponentPods())


def _placed(component: AnyComponent, settings: Settings) -> AnyComponent:
    if isinstance(component, RemoteComponent):
        return component
    name = "engine" if isinstance(component, VllmComponent) else "simulation"
    placed = component.hardware.model_copy(update=_place(component, settings))
    return component.model_copy(update={name: placed})


def _placed_reward(reward: AnyReward, settings: Settings) -> AnyReward:
    place = _place(reward, settings)
    if isinstance(reward, VllmReward):
        return reward.model_copy(update={"engine": reward.engine.model_copy(update=place)})
    return reward.model_copy(update={"replica_group": place["replica_group"]})


def _place(one: Served, settings: Settings) -> dict[str, str]:
    return {
        "replica_group": one.hardware.replica_group or one.id,
        "accelerator": pods_of(one, settings).accelerator or one.hardware.accelerator,
    }


def _refuse_unknown(blend: BlendConfig, settings: Settings) -> None:
    if unknown := sorted(settings.components.keys() - blend.hardware.keys()):
        raise ConfigError(
            f"The settings have pods for {', '.join(unknown)}, which is no component on the "
            f"cluster; these are {', '.join(blend.hardware)}."
        )
    shared = {name: m for name, m in by_group(blend).items() if len(m) > 1}
    if unknown := sorted(settings.groups.keys() - shared.keys()):
        raise ConfigError(
            f"The settings have pods for the group {', '.join(unknown)}, and no components share "
            f"it; shared groups are {', '.join(shared) or 'none'}. The pods of a single component "
            "stand under components, by its id."
        )
    for name, members in shared.items():
        for component in members:
            if component.id in settings.components:
                raise ConfigError(
                    f"The settings have pods for component '{component.id}', which shares those of "
                    f"the group '{name}'; write them as groups: {{{name}: …}}."
                )


def _refuse_shared(blend: BlendConfig) -> None:
    router = str(blend.router.replica_group)
    for group, members in by_group(blend).items():
        first, *others = (f"component '{member.id}'" for member in members)
        if group == router:
            _refuse_group(group, first, "the router")
        if others and any(member.hardware.gpu_fraction is None for member in members):
            _refuse_group(group, others[0], first)


def _refuse_group(group: str, one: str, other: str) -> None:
    raise ConfigError(
        f"{one.capitalize()} and {other} are both in the replica group '{group}'; give each a "
        "group of its own, which scales by itself. Only components with a gpu_fraction share one."
    )


def _refuse_unused(blend: BlendConfig, settings: Settings) -> None:
    used = dict.fromkeys(h.accelerator for h in blend.hardware.values() if h.accelerator != "cpu")
    if unused := [name for name in settings.accelerators if name not in used]:
        raise ConfigError(
            f"The settings have nodes for the accelerator {', '.join(unused)}, which no component "
            f"uses; those in use are {', '.join(used) or 'none'}. Correct the name, or remove it."
        )


def _refuse_wrong(blend: BlendConfig) -> None:
    """Refuse a blend that is wrong on the accelerators that the settings name."""
    try:
        BlendConfig.model_validate(blend.model_dump(mode="json", exclude_none=True))
    except ValidationError as exc:
        lines = "\n".join(f"  {problem}" for problem in problems(exc))
        raise ConfigError(f"With these settings the blend has mistakes:\n{lines}") from exc
