"""A blend's RayService on one machine: real raylets with fake GPUs, and Ray's real autoscaler.

Nodes and their labels, resources, bounds and idle times are those that Ray's own code for KubeRay
reads from the manifest, and a draining node counts within its group's budget, as pods do with
KubeRay. Two things differ: engines are simulated, because there is no GPU, and HAProxy runs on the
head alone, because all nodes share one address.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)

from blended import app
from blended.config import (
    AnyReward,
    BlendConfig,
    SimulatedComponent,
    SimulatedReward,
    Simulation,
    VllmComponent,
    VllmReward,
)
from blended.errors import ConfigError
from blended.launch.node import Further
from cluster.manifests import Document, at, serve_config

HEAD_TYPE = "ray.head.default"

_PROVIDER = {
    "type": "external",
    "module": "cluster.fake_pods.FakePods",
    "head_node_id": FAKE_HEAD_NODE_ID,
    "launch_multiple": True,
    "disable_node_updaters": True,
    "foreground_node_launch": True,
    "disable_launch_config_check": True,
    "worker_liveness_check": False,
}
_ENVIRONMENT = {
    # Where the autoscaler's process finds the provider, before what the user has named.
    "PYTHONPATH": os.pathsep.join(
        [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    ),
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "RAY_FAKE_CLUSTER": "1",
    "RAY_enable_autoscaler_v2": "1",
    "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
    "RAY_NODE_TYPE_NAME": HEAD_TYPE,
}
# The smallest object store that a raylet accepts.
_OBJECT_STORE_BYTES = 80 * 2**20


def rehearsed(rayservice: Document, http_port: int) -> Document:
    """The Serve config of a RayService with every engine simulated, on the same hardware.

    Raises:
        ConfigError: it is not the RayService of a blend.
    """
    try:
        router = serve_config(rayservice)["applications"][-1]["deployments"][0]
        blend = BlendConfig.model_validate(router["user_config"]["blend"])
    except (KeyError, IndexError, TypeError, ValidationError) as exc:
        raise ConfigError(f"The RayService is not one of a blend: {exc}") from exc
    components = [_simulated(c) if isinstance(c, VllmComponent) else c for c in blend.components]
    update = {"components": tuple(components), "reward": _simulated_reward(blend.reward)}
    found = blend.model_copy(update=update)
    # All nodes share one address, so that only one of them can have HAProxy.
    return app.serve_config(found, http_port) | {"proxy_location": "HeadOnly"}


def autoscaling(rayservice: Document, gcs_port: int) -> dict[str, Any]:
    """Ray's autoscaling config for the groups of a RayService, with nodes on this machine."""
    cluster = at(rayservice, "spec", "rayClusterConfig")
    metadata = {"name": at(rayservice, "metadata")["name"], "namespace": "default"}
    config: dict[str, Any] = _derive_autoscaling_config_from_ray_cr(
        {"metadata": metadata, "spec": cluster}
    )
    types = config["available_node_types"]
    types[HEAD_TYPE] = types.pop("headgroup")
    for kind in types.values():
        # Ray would reserve the memory of all pods, which this machine does not have.
        kind["resources"].pop("memory", None)
        kind["resources"]["object_store_memory"] = _OBJECT_STORE_BYTES
    budgets = {name: kind["max_workers"] for name, kind in types.items()}
    provider = {**_PROVIDER, "gcs_address": f"127.0.0.1:{gcs_port}", "budgets": budgets}
    return {**config, "head_node_type": HEAD_TYPE, "provider": provider}


def further(rayservice: Document, gcs_port: int, folder: Path) -> Further:
    """The arguments of `ray start` for the autoscaler; writes its config into `folder`."""
    path = folder / "autoscaling.json"
    path.write_text(json.dumps(autoscaling(rayservice, gcs_port)))
    options = ("--num-gpus=0", f"--autoscaling-config={path}")
    return Further(options, _ENVIRONMENT)


def groups_of(labels: Mapping[str, str]) -> list[str]:
    """The groups that a node with these labels is in."""
    return [key.removeprefix("blended/") for key in labels if key.startswith("blended/")]


def _simulated_reward(reward: AnyReward | None) -> AnyReward | None:
    if not isinstance(reward, VllmReward):
        return reward
    return SimulatedReward(
        kind="simulated",
        timeout_ms=reward.timeout_ms,
        replicas=reward.replicas,
        replica_group=reward.engine.replica_group,
    )


def _simulated(component: VllmComponent) -> SimulatedComponent:
    engine = component.engine
    simulation = Simulation(
        accelerator=engine.accelerator,
        tensor_parallel_size=engine.tensor_parallel_size,
        gpu_fraction=engine.gpu_fraction,
        # Ray's process for the replica is beside the engine.
        cpus=engine.cpus + (1 if engine.accelerator == "cpu" else 0),
        replica_group=engine.replica_group,
        concurrency=component.replicas.max_ongoing_requests,
    )
    kept = component.model_dump(exclude={"kind", "engine", "kv_bytes_per_token"})
    return SimulatedComponent(kind="simulated", simulation=simulation, **kept)
