"""Which nodes may hold a component's replicas, and what each takes of them."""

from typing import Any

from blended.config import Hardware

Bundle = dict[str, float]


def selector(group: str | None) -> dict[str, str]:
    """The labels that admit the replicas of a group to a node, which may have those of several."""
    return {} if group is None else {f"blended/{group}": "true"}


def worker_bundles(hardware: Hardware) -> list[Bundle]:
    """What the workers of one replica take, each of them."""
    gpu = {} if hardware.accelerator == "cpu" else {"GPU": 1}
    return [{"CPU": hardware.cpus, **gpu}] * hardware.tensor_parallel_size


def replica_options(hardware: Hardware) -> dict[str, Any]:
    """The options of a Serve deployment whose replicas take what `ray.serve.llm` takes for them.

    The replica's own process, of one CPU, is beside the first worker; all are on one node.
    """
    bundles = [dict(bundle) for bundle in worker_bundles(hardware)]
    bundles[0]["CPU"] += 1
    if hardware.accelerator != "cpu":
        # Ray's hint, by which the replica finds the nodes with that type.
        bundles = [b | {f"accelerator_type:{hardware.accelerator}": 0.001} for b in bundles]
    return {
        "placement_group_bundles": bundles,
        "placement_group_strategy": "STRICT_PACK",
        **bundle_selectors(hardware),
    }


def bundle_selectors(hardware: Hardware) -> dict[str, Any]:
    """The option by which every worker of a replica is held to the nodes of its group."""
    labels = selector(hardware.replica_group)
    count = hardware.tensor_parallel_size
    return {"placement_group_bundle_label_selector": [labels] * count} if labels else {}
