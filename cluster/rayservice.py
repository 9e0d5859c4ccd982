"""A blend as a RayService of KubeRay, and the disruption budgets of its pods."""

import json
from collections.abc import Sequence

import ray

from blended.app import serve_config
from blended.config import BlendConfig, VllmComponent
from cluster import settings as cluster_settings
from cluster.containers import HTTP_PORT, RIGHTS, container, drain_s, volumes
from cluster.manifests import Document
from cluster.pod_groups import PodGroup, groups, head, placed
from cluster.rules.service import TIMEOUT
from cluster.settings import Settings

ACCOUNT = "blended"
TOKEN = "blended-ray-token"

# Between the end of the drain and the moment at which Kubernetes kills a pod.
_AFTER_DRAIN_S = 30
# Serve does not pass requests through the object store, which by default takes 30 % of a pod's
# memory.
_OBJECT_STORE_BYTES = 2**28
_USER = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 100,
    "fsGroup": 100,
    # Kubernetes then changes the owner of a large volume once, not for every pod.
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
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
            "labels": _labels(name),
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
    image = cluster_settings.image(settings, _has_engines_on_gpus(blend))
    rendered = [_workers(blend, settings, name, group, image) for group in workers]
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
        "headGroupSpec": _head(blend, settings, name, image),
        "workerGroupSpecs": _in_order(rendered, earlier),
    }


def _head(blend: BlendConfig, settings: Settings, name: str, image: str) -> Document:
    parameters = {
        "num-cpus": "0",
        "dashboard-host": "0.0.0.0",
        "object-store-memory": str(_OBJECT_STORE_BYTES),
    }
    return {
        "rayStartParams": parameters,
        # The operator makes its service account, with the rights that the autoscaler needs.
        "template": _template(blend, head(settings), name, image, "head"),
    }


def _workers(
    blend: BlendConfig, settings: Settings, name: str, group: PodGroup, image: str
) -> Document:
    role = "router" if group.name == blend.router.replica_group else "component"
    return {
        "groupName": group.name,
        # The autoscaler adds pods for replicas: Serve alone decides how many.
        "replicas": 0,
        "minReplicas": 0,
        "maxReplicas": group.max_pods,
        "idleTimeoutSeconds": round(settings.idle_timeout_s),
        "labels": dict(group.labels),
        **({"resources": dict(group.resources)} if group.resources else {}),
        "rayStartParams": {"object-store-memory": str(_OBJECT_STORE_BYTES)},
        "template": _template(blend, group, name, image, role),
    }


def _template(blend: BlendConfig, group: PodGroup, name: str, image: str, role: str) -> Document:
    worker = {"serviceAccountName": ACCOUNT, "automountServiceAccountToken": False}
    taints = [toleration.model_dump(exclude_none=True) for toleration in group.tolerations]
    return {
        "metadata": {"labels": {**_labels(name, role), **({} if role == "head" else group.labels)}},
        "spec": {
            **({} if role == "head" else worker),
            "restartPolicy": "Never",
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": drain_s(blend) + _AFTER_DRAIN_S,
            "securityContext": _USER,
            **({"nodeSelector": dict(group.node_selector)} if group.node_selector else {}),
            **({"tolerations": taints} if taints else {}),
            **({"topologySpreadConstraints": [_apart(name, role)]} if role == "router" else {}),
            "containers": [container(blend, group, image, role)],
            "volumes": volumes(blend, group, role),
        },
    }


def _apart(name: str, role: str) -> Document:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _labels(name, role)},
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
        "metadata": {"name": f"{name}-{group.name}", "labels": _labels(name)},
        "spec": {
            "minAvailable": max(1, group.replicas - 1),
            "selector": {
                "matchLabels": {"app.kubernetes.io/instance": name, **role},
            },
        },
    }


def _labels(name: str, role: str | None = None) -> dict[str, str]:
    return {
        "app.kubernetes.io/part-of": "blended",
        "app.kubernetes.io/instance": name,
        **({} if role is None else {"app.kubernetes.io/component": role}),
    }


def _has_engines_on_gpus(blend: BlendConfig) -> bool:
    engines = [c.engine for c in blend.components if isinstance(c, VllmComponent)]
    return any(engine.accelerator != "cpu" for engine in engines)
