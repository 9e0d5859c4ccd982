"""A blend as a RayService of KubeRay, and the disruption budgets of its pods."""

import json
from collections.abc import Sequence

import ray

from blended.app import serve_config
from blended.config import BlendConfig
from cluster import settings as cluster_settings
from cluster.containers import HTTP_PORT, RIGHTS
from cluster.manifests import Document
from cluster.placed_blend import placed
from cluster.pod_groups import PodGroup, groups, head
from cluster.rules.service import TIMEOUT
from cluster.settings import Settings
from cluster.worker_groups import head_group, labels, worker_group

TOKEN = "blended-ray-token"

_AUTOSCALER = {"cpu": "500m", "memory": "1Gi"}


def manifests(
    blend: BlendConfig, settings: Settings, earlier: Sequence[Document] = ()
) -> tuple[Document, list[Document]]:
    """The RayService, and the budgets.

    `earlier` are the worker groups of the previous manifest. KubeRay compares groups by position,
    so they keep their places, and the group of a removed component stays, without pods.

    Raises:
        ConfigError: these settings cannot provide what the blend needs.
    """
    blend = placed(blend, settings)
    workers = groups(blend, settings)
    name = settings.name or blend.name
    service = {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {
            "name": name,
            "labels": labels(name),
            "annotations": {TIMEOUT: settings.initializing_timeout},
        },
        "spec": {
            "upgradeStrategy": {"type": "None"},
            "excludeHeadPodFromServeSvc": True,
            # All YAML readers understand JSON alike. Without a name, each RayService has a Service
            # of its own.
            "serveConfigV2": json.dumps(serve_config(blend, HTTP_PORT), indent=2) + "\n",
            "rayClusterConfig": _cluster(blend, settings, name, workers, earlier),
        },
    }
    return service, [_budget(name, group) for group in (head(settings), *workers) if _kept(group)]


def _cluster(
    blend: BlendConfig,
    settings: Settings,
    name: str,
    workers: Sequence[PodGroup],
    earlier: Sequence[Document],
) -> Document:
    builds = [group.build for group in workers if group.build is not None]
    images = cluster_settings.images(settings, builds)
    # Head and router run no engine.
    image = images["gpu" if "gpu" in builds else "cpu"]
    rendered = [
        worker_group(blend, settings, name, group, images[group.build] if group.build else image)
        for group in workers
    ]
    return {
        "rayVersion": ray.__version__,
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "version": "v2",
            "idleTimeoutSeconds": round(settings.idle_timeout_s),
            "resources": {"limits": _AUTOSCALER, "requests": _AUTOSCALER},
            "securityContext": RIGHTS,
        },
        "authOptions": {"mode": "token", "secretName": TOKEN},
        "headGroupSpec": head_group(blend, settings, name, image),
        "workerGroupSpecs": _in_order(rendered, earlier),
    }


def _in_order(rendered: list[Document], earlier: Sequence[Document]) -> list[Document]:
    new = {group["groupName"]: group for group in rendered}
    kept = [new.pop(g["groupName"], g) for g in earlier]
    return [*kept, *new.values()]


def _kept(group: PodGroup) -> bool:
    """Whether a budget makes sense: one for a single replica would block every drain.

    The head has one, because no pod replaces it: its node is drained only on purpose.
    """
    return group.name == "head" or group.replicas > 1


def _budget(name: str, group: PodGroup) -> Document:
    role = {"app.kubernetes.io/component": "head"} if group.name == "head" else group.labels
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": f"{name}-{group.name}", "labels": labels(name)},
        "spec": {
            "minAvailable": max(1, group.replicas - 1),
            "selector": {
                "matchLabels": {"app.kubernetes.io/instance": name, **role},
            },
        },
    }
