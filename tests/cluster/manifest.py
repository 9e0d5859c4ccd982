"""A RayService as it should be, for tests to spoil: two components on GPUs, and the router."""

import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from blended.app import serve_config
from blended.config import BlendConfig
from blended.launch.environment import SERVE_ENV
from cluster.manifests import Document

IMAGE = "registry.example.org/blended:0.9.0"
GRACE_S = 930

# What a test does to a manifest before it looks for the mistake.
Spoil = Callable[[Any], object]


def blend() -> BlendConfig:
    """`small` takes one GPU, `large` takes two; the router may have four replicas."""
    return BlendConfig.model_validate(
        {
            "name": "pair",
            "components": [_component("small", 1, 3), _component("large", 2, 2)],
            "router": {"replicas": {"min": 2, "max": 4}},
        }
    )


def rayservice() -> Document:
    """A manifest of its own for every caller."""
    return copy.deepcopy(_rayservice())


def spoilt(spoil: Spoil) -> Document:
    """The manifest after a change of it."""
    manifest = rayservice()
    spoil(manifest)
    return manifest


def spoilt_serve(spoil: Spoil) -> Document:
    """The manifest after a change of the Serve config in it."""
    manifest = rayservice()
    serve = json.loads(manifest["spec"]["serveConfigV2"])
    spoil(serve)
    manifest["spec"]["serveConfigV2"] = json.dumps(serve)
    return manifest


def cluster(manifest: Document) -> Any:
    """The part that describes the Ray cluster."""
    return manifest["spec"]["rayClusterConfig"]


def head(manifest: Document) -> Any:
    """The head's group."""
    return cluster(manifest)["headGroupSpec"]


def workers(manifest: Document, index: int = 1) -> Any:
    """A worker group: router, small, large."""
    return cluster(manifest)["workerGroupSpecs"][index]


def pod(group: Any) -> Any:
    """What the pods of a group are made from."""
    return group["template"]["spec"]


def container(group: Any) -> Any:
    """The container that Ray runs in."""
    return pod(group)["containers"][0]


def serve() -> Document:
    """The Serve config in the manifest: of the blend, with the router on nodes of its own."""
    # Parts of it are constants of the package, which no test may spoil.
    config = copy.deepcopy(serve_config(blend(), 8000))
    router = config["applications"][-1]["deployments"][0]
    router["ray_actor_options"]["label_selector"] = {"blended/router": "true"}
    return config


def _component(name: str, gpus: int, most: int) -> Document:
    return {
        "id": name,
        "kind": "vllm",
        "engine": {
            "model": f"example/{name}",
            "accelerator": "L40S",
            "tensor_parallel_size": gpus,
            "replica_group": name,
            "max_model_len": 8192,
        },
        "replicas": {"min": 1, "max": most},
    }


@cache
def _rayservice() -> Document:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {
            "name": "pair",
            "labels": {"app.kubernetes.io/name": "blended"},
            "annotations": {"ray.io/initializing-timeout": "90m"},
        },
        "spec": {
            "upgradeStrategy": {"type": "None"},
            "excludeHeadPodFromServeSvc": True,
            "serveConfigV2": json.dumps(serve()),
            "rayClusterConfig": {
                "rayVersion": "2.60.0",
                "enableInTreeAutoscaling": True,
                "autoscalerOptions": {"version": "v2", "idleTimeoutSeconds": 300},
                "authOptions": {"mode": "token", "secretName": "pair-ray-token"},
                "headGroupSpec": _head(),
                "workerGroupSpecs": [
                    _workers("router", 2, 2),
                    _workers("small", 1, 3, gpus=1),
                    _workers("large", 1, 2, gpus=2),
                ],
            },
        },
    }


def _head() -> Document:
    ports = {"gcs-server": 6379, "dashboard": 8265, "serve": 8000, "metrics": 8080}
    listed = [{"name": name, "containerPort": number} for name, number in ports.items()]
    ray = _container("ray-head", {"cpu": "2", "memory": "8Gi"})
    return {
        "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
        "template": {"spec": {"restartPolicy": "Never", "containers": [ray | {"ports": listed}]}},
    }


def _workers(name: str, least: int, most: int, gpus: int = 0) -> Document:
    resources = {"cpu": "8", "memory": "32Gi"} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
    return {
        "groupName": name,
        "minReplicas": least,
        "maxReplicas": most,
        "idleTimeoutSeconds": 300,
        "labels": {f"blended/{name}": "true"},
        "rayStartParams": {},
        **({"resources": {"accelerator_type:L40S": "1"}} if gpus else {}),
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": GRACE_S,
                "containers": [_container("ray-worker", resources) | {"readinessProbe": _READY}],
                "volumes": [{"name": "shared-memory", "emptyDir": {"sizeLimit": "1Gi"}}],
            }
        },
    }


_READY = {
    "exec": {"command": ["bash", "-c", "wget -qO- http://localhost:8000/-/healthz"]},
    "timeoutSeconds": 5,
    "failureThreshold": 3,
}


def _container(name: str, resources: Document) -> Document:
    secret = {"secretKeyRef": {"name": "pair-keys", "key": "internal"}}
    variables = [{"name": name, "value": value} for name, value in SERVE_ENV.items()]
    return {
        "name": name,
        "image": IMAGE,
        "resources": {"limits": resources, "requests": dict(resources)},
        "env": [*variables, {"name": "VLLM_API_KEY", "valueFrom": secret}],
    }
