"""The pods of a RayCluster: its head, and its worker groups."""

from blended.config import BlendConfig
from cluster.containers import container, drain_s, volumes
from cluster.manifests import Document
from cluster.pod_groups import PodGroup, head
from cluster.settings import Settings

ACCOUNT = "blended"

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


def head_group(blend: BlendConfig, settings: Settings, name: str, image: str) -> Document:
    """The head, which runs no replica."""
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


def worker_group(
    blend: BlendConfig, settings: Settings, name: str, group: PodGroup, image: str
) -> Document:
    """One worker group: its pods, and how many there may be."""
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
        "metadata": {"labels": {**labels(name, role), **({} if role == "head" else group.labels)}},
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
        "labelSelector": {"matchLabels": labels(name, role)},
    }


def labels(name: str, role: str | None = None) -> dict[str, str]:
    """The labels of everything that belongs to a RayService, and of its pods by their role."""
    return {
        "app.kubernetes.io/part-of": "blended",
        "app.kubernetes.io/instance": name,
        **({} if role is None else {"app.kubernetes.io/component": role}),
    }
