"""The groups of equal pods that a blend needs: the head, the router's, one for each component.

A reward model has one like a component.
Components that share GPUs have one group together, whose pods have one GPU each.

worker_groups.py writes them as groups of a RayCluster, and containers.py their containers.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from blended.components.placement import replica_options, selector
from blended.config import (
    BlendConfig,
    RewardProcess,
    Served,
    SimulatedComponent,
    VllmComponent,
    VllmReward,
    gpu_shares,
)
from blended.errors import ConfigError
from cluster.manifests import quantity
from cluster.placed_blend import by_group, pods_of
from cluster.settings import (
    Build,
    ComponentPods,
    Pods,
    Settings,
    Toleration,
    WorkerPods,
    weights_memory,
)

GPU = "nvidia.com/gpu"

# An engine and its model of some million parameters; a process without an engine.
_CPU_ENGINE_MEMORY, _PROCESS_MEMORY = "6Gi", "2Gi"
_GIB = 2**30


@dataclass(frozen=True)
class PodGroup:
    """One group of pods: `labels` are what replicas select it by, `resources` what Ray must know.

    `limits` and `requests` are those of the container that Ray runs in, and `replicas` how many of
    its deployment there are at the least. `build` is the build of vLLM that its engines need.
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
    build: Build | None = None


def groups(blend: BlendConfig, settings: Settings) -> list[PodGroup]:
    """The worker groups of a blend that is `placed`: the router's, then in the order of its file.

    Raises:
        ConfigError: nothing says which nodes have an accelerator, or a budget holds no replica.
    """
    return [_router(blend, settings), *(_of_members(m, settings) for m in by_group(blend).values())]


def head(settings: Settings) -> PodGroup:
    """The head's group, of one pod, which holds no replica."""
    default = Settings().head
    limits = _limits(settings.head, str(default.cpu), str(default.memory))
    return _group("head", settings.head, limits, max_pods=1, replicas=1)


def _router(blend: BlendConfig, settings: Settings) -> PodGroup:
    # The pod also runs HAProxy, Ray's own processes, and the process that picks replicas.
    limits = _limits(settings.router, str(math.ceil(blend.router.cpus) + 1), "4Gi")
    replicas, pods = blend.router.replicas, settings.router
    most = replicas.max + _spare(pods, gpus=0)
    return _group(str(blend.router.replica_group), pods, limits, most, replicas.min)


def _of_members(members: Sequence[Served], settings: Settings) -> PodGroup:
    first, shares = members[0], [_share(member) for member in members]
    hardware, pods = first.hardware, pods_of(first, settings)
    gpus = math.ceil(hardware.gpus)
    limits = _limits(pods, str(_cpus(members)), _memory(members), gpus)
    # Of shares no more pods are certain than all of them fill.
    least = math.ceil(sum(s * m.replicas.min for s, m in zip(shares, members, strict=True)) / 100)
    name, most = str(hardware.replica_group), _max_pods(members, pods, gpus)
    found = replace(_group(name, pods, limits, most, least), build=_build(members))
    if any(map(_downloads, members)):
        found = replace(found, model_cache=settings.model_cache)
    return _on_gpus(found, hardware.accelerator, settings) if gpus else found


def _share(component: Served) -> int:
    """What a replica takes of a pod, in hundredths."""
    return gpu_shares.hundredths(component.hardware.gpu_fraction or 1)


def _build(members: Sequence[Served]) -> Build | None:
    if not any(isinstance(member, VllmComponent | VllmReward) for member in members):
        return None
    return "gpu" if members[0].hardware.gpus else "cpu"


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


def _cpus(members: Sequence[Served]) -> int:
    """CPUs for every mix of replicas that a pod's GPU holds."""
    found = gpu_shares.most_on_a_card((_share(m), _cpus_of(m)) for m in members)
    return max(1, math.ceil(found))


def _cpus_of(component: Served) -> float:
    hardware = component.hardware
    bundles = replica_options(hardware)["placement_group_bundles"]
    alone = (
        isinstance(component, SimulatedComponent | RewardProcess) and hardware.accelerator == "cpu"
    )
    return hardware.cpus if alone else math.fsum(bundle["CPU"] for bundle in bundles)


def _memory(members: Sequence[Served]) -> str:
    """Memory for every mix of replicas that a pod's GPU holds."""
    needed = ((_share(m), float(quantity(_memory_of(m)))) for m in members)
    return f"{math.ceil(gpu_shares.most_on_a_card(needed) / _GIB)}Gi"


def _memory_of(component: Served) -> str:
    if isinstance(component, SimulatedComponent | RewardProcess):
        return _PROCESS_MEMORY
    on_cpu = component.engine.accelerator == "cpu"
    return _CPU_ENGINE_MEMORY if on_cpu else weights_memory(component.parameters)


def _spare(pods: WorkerPods, gpus: int) -> int:
    if pods.spare is not None:
        return pods.spare
    return 0 if gpus else 1


def _max_pods(members: Sequence[Served], pods: ComponentPods, gpus: int) -> int:
    if pods.gpus is None:
        replicas = Counter[int]()
        for member in members:
            replicas[_share(member)] += member.replicas.max
        return gpu_shares.cards(replicas) + _spare(pods, gpus)
    whose = " and ".join(f"'{member.id}'" for member in members)
    if pods.spare is not None:
        raise ConfigError(
            f"Component {whose} has a budget of {pods.gpus} GPUs and {pods.spare} spare "
            "pods; write one of them. What the budget holds beyond replicas.max is spare."
        )
    if gpus == 0 or pods.gpus < gpus:
        raise ConfigError(
            f"The budget of component {whose} is {pods.gpus} GPUs, and a replica takes "
            f"{gpus}; raise the budget, or remove it."
        )
    return pods.gpus // gpus


def _downloads(component: Served) -> bool:
    if not isinstance(component, VllmComponent | VllmReward):
        return False
    model = component.engine.model
    return not model.startswith(("demo:", "/", ".", "~"))
