"""The groups of equal pods that a blend needs: the head, the router's, one for each component.

worker_groups.py writes them as groups of a RayCluster, and containers.py their containers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from blended.components.placement import replica_options, selector
from blended.config import (
    AnyComponent,
    BlendConfig,
    RemoteComponent,
    SimulatedComponent,
    VllmComponent,
)
from blended.errors import ConfigError
from cluster.settings import (
    ComponentPods,
    Pods,
    Settings,
    Toleration,
    WorkerPods,
    weights_memory,
)

ROUTER = "router"
GPU = "nvidia.com/gpu"

# An engine and its model of some million parameters; timing without a model.
_CPU_ENGINE_MEMORY, _SIMULATED_MEMORY = "6Gi", "2Gi"


@dataclass(frozen=True)
class PodGroup:
    """One group of pods: `labels` are what replicas select it by, `resources` what Ray must know.

    `limits` and `requests` are those of the container that Ray runs in, and `replicas` how many of
    its deployment there are at the least.
    """

    name: str
    labels: Mapping[str, str]
    limits: Mapping[str, str]
    requests: Mapping[str, str]
    shared_memory: str
    max_pods: int
    replicas: int
    node_selector: Mapping[str, str]
    tolerations: tuple[Toleration, ...]
    resources: Mapping[str, str] = field(default_factory=dict)
    model_cache: str | None = None


def placed(blend: BlendConfig, settings: Settings) -> BlendConfig:
    """The blend with every deployment bound to a group of its own, on the settings' accelerators.

    Raises:
        ConfigError: two deployments share a group, or the settings name an unknown component, or
            nodes of an accelerator that no component uses.
    """
    if unknown := sorted(settings.components.keys() - blend.hardware.keys()):
        raise ConfigError(
            f"The settings have pods for {', '.join(unknown)}, which is no component on the "
            f"cluster; these are {', '.join(blend.hardware)}."
        )
    router = blend.router
    replicas = router.replicas.model_copy(
        update={"max_per_node": router.replicas.max_per_node or 1}
    )
    update = {"replicas": replicas, "replica_group": router.replica_group or ROUTER}
    found = blend.model_copy(
        update={
            "components": tuple(_placed(component, settings) for component in blend.components),
            "router": router.model_copy(update=update),
        }
    )
    _refuse_shared(found)
    _refuse_unused(found, settings)
    return found


def groups(blend: BlendConfig, settings: Settings) -> list[PodGroup]:
    """The worker groups of a blend that is `placed`: the router's, then in the order of its file.

    Raises:
        ConfigError: nothing says which nodes have an accelerator, or a budget holds no replica.
    """
    served = [c for c in blend.components if not isinstance(c, RemoteComponent)]
    return [_router(blend, settings), *(_component(c, settings) for c in served)]


def head(settings: Settings) -> PodGroup:
    """The head's group, of one pod, which holds no replica."""
    default = Settings().head
    limits = _limits(settings.head, str(default.cpu), str(default.memory))
    return _group("head", settings.head, limits, max_pods=1, replicas=1)


def _placed(component: AnyComponent, settings: Settings) -> AnyComponent:
    if isinstance(component, RemoteComponent):
        return component
    pods = settings.components.get(component.id, ComponentPods())
    name = "engine" if isinstance(component, VllmComponent) else "simulation"
    update = {
        "replica_group": component.hardware.replica_group or component.id,
        "accelerator": pods.accelerator or component.hardware.accelerator,
    }
    return component.model_copy(update={name: component.hardware.model_copy(update=update)})


def _refuse_shared(blend: BlendConfig) -> None:
    owners = {str(blend.router.replica_group): "the router"}
    for component, hardware in blend.hardware.items():
        group = str(hardware.replica_group)
        if group in owners:
            raise ConfigError(
                f"Component '{component}' and {owners[group]} are both in the replica group "
                f"'{group}'; give each a group of its own, which scales by itself."
            )
        owners[group] = f"component '{component}'"


def _refuse_unused(blend: BlendConfig, settings: Settings) -> None:
    used = dict.fromkeys(h.accelerator for h in blend.hardware.values() if h.accelerator != "cpu")
    if unused := [name for name in settings.accelerators if name not in used]:
        raise ConfigError(
            f"The settings have nodes for the accelerator {', '.join(unused)}, which no component "
            f"uses; those in use are {', '.join(used) or 'none'}. Correct the name, or remove it."
        )


def _router(blend: BlendConfig, settings: Settings) -> PodGroup:
    # The pod also runs HAProxy, Ray's own processes, and the process that picks replicas.
    limits = _limits(settings.router, str(math.ceil(blend.router.cpus) + 1), "4Gi")
    replicas, pods = blend.router.replicas, settings.router
    most = replicas.max + _spare(pods, gpus=0)
    return _group(str(blend.router.replica_group), pods, limits, most, replicas.min)


def _component(component: VllmComponent | SimulatedComponent, settings: Settings) -> PodGroup:
    hardware = component.hardware
    pods = settings.components.get(component.id, ComponentPods())
    gpus = hardware.tensor_parallel_size if hardware.accelerator != "cpu" else 0
    limits = _limits(pods, _cpus(component), _memory(component), gpus)
    most, name = _max_pods(component, pods, gpus), str(hardware.replica_group)
    found = _group(name, pods, limits, most, component.replicas.min)
    if _downloads(component):
        found = replace(found, model_cache=settings.model_cache)
    return _on_gpus(found, hardware.accelerator, settings) if gpus else found


def _on_gpus(group: PodGroup, accelerator: str, settings: Settings) -> PodGroup:
    nodes = settings.accelerator(accelerator)
    return replace(
        group,
        resources={f"accelerator_type:{accelerator}": "1"},
        node_selector={**nodes.node_selector, **group.node_selector},
        tolerations=(*nodes.tolerations, *group.tolerations),
    )


def _group(
    name: str, pods: Pods, limits: Mapping[str, str], max_pods: int, replicas: int
) -> PodGroup:
    return PodGroup(
        name=name,
        labels=selector(name),
        limits=limits,
        requests={**limits, **pods.requests},
        shared_memory=pods.shared_memory or f"{2 * int(limits.get(GPU, 0)) + 1}Gi",
        max_pods=max_pods,
        replicas=replicas,
        node_selector=pods.node_selector,
        tolerations=pods.tolerations,
    )


def _limits(pods: Pods, cpu: str, memory: str, gpus: int = 0) -> dict[str, str]:
    return {
        "cpu": pods.cpu or cpu,
        "memory": pods.memory or memory,
        "ephemeral-storage": pods.ephemeral_storage or ("50Gi" if gpus else "5Gi"),
        **({GPU: str(gpus)} if gpus else {}),
    }


def _cpus(component: VllmComponent | SimulatedComponent) -> str:
    hardware = component.hardware
    bundles = replica_options(hardware)["placement_group_bundles"]
    alone = isinstance(component, SimulatedComponent) and hardware.accelerator == "cpu"
    cpus = hardware.cpus if alone else math.fsum(bundle["CPU"] for bundle in bundles)
    return str(max(1, math.ceil(cpus)))


def _memory(component: VllmComponent | SimulatedComponent) -> str:
    if isinstance(component, SimulatedComponent):
        return _SIMULATED_MEMORY
    on_cpu = component.engine.accelerator == "cpu"
    return _CPU_ENGINE_MEMORY if on_cpu else weights_memory(component.parameters)


def _spare(pods: WorkerPods, gpus: int) -> int:
    if pods.spare is not None:
        return pods.spare
    return 0 if gpus else 1


def _max_pods(component: VllmComponent | SimulatedComponent, pods: ComponentPods, gpus: int) -> int:
    if pods.gpus is None:
        return component.replicas.max + _spare(pods, gpus)
    if pods.spare is not None:
        raise ConfigError(
            f"Component '{component.id}' has a budget of {pods.gpus} GPUs and {pods.spare} spare "
            "pods; write one of them. What the budget holds beyond replicas.max is spare."
        )
    if gpus == 0 or pods.gpus < gpus:
        raise ConfigError(
            f"The budget of component '{component.id}' is {pods.gpus} GPUs, and a replica takes "
            f"{gpus}; raise the budget, or remove it."
        )
    return pods.gpus // gpus


def _downloads(component: VllmComponent | SimulatedComponent) -> bool:
    model = component.engine.model if isinstance(component, VllmComponent) else "demo:none"
    return not model.startswith(("demo:", "/", ".", "~"))
