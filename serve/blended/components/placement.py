"""The nodes that may hold a component's replicas, and the resources of each replica."""

from typing import Any

from blended.config import Hardware

Bundle = dict[str, float]


def selector(group: str | None) -> dict[str, str]:
    """The labels of a node that may hold a group's replicas; a node may serve several groups."""
    return {} if group is None else {f"blended/{group}": "true"}


def worker_bundles(hardware: Hardware) -> list[Bundle]:
    """The resources of each worker of one replica."""
    gpu = {} if hardware.accelerator == "cpu" else {"GPU": hardware.gpu_fraction or 1}
    return [{"CPU": hardware.cpus, **gpu}] * hardware.tensor_parallel_size


def replica_options(hardware: Hardware) -> dict[str, Any]:
    """The options of a Serve deployment whose replicas reserve what `ray.serve.llm` reserves.

    The replica's own process, with one CPU, is beside the first worker; all are on one node.
    """
    bundles = [dict(bundle) for bundle in worker_bundles(hardware)]
    bundles[0]["CPU"] += 1
    if hardware.accelerator != "cpu":
        # Ray's hint, by which a replica finds nodes with that accelerator type.
        bundles = [b | {f"accelerator_type:{hardware.accelerator}": 0.001} for b in bundles]
    return {
        "placement_group_bundles": bundles,
        "placement_group_strategy": "STRICT_PACK",
        **bundle_selectors(hardware),
    }


def bundle_selectors(hardware: Hardware) -> dict[str, Any]:
    """The option that restricts every worker of a replica to the nodes of its group."""
    labels = selector(hardware.replica_group)
    count = hardware.tensor_parallel_size
    return {"placement_group_bundle_label_selector": [labels] * count} if labels else {}
