"""KubeRay 1.7's reaction to a changed RayService: none, a change in place, or a second cluster.

A port of the operator's GenerateHashWithoutReplicasAndWorkersToDelete, and of its controller's
decisions by the hash (shouldPrepareNewCluster, shouldUpdateCluster).
"""

import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any, Literal

from cluster.manifests import Document, at, quantity

Kind = Literal["same", "in place", "second cluster", "ignored"]

# The autoscaler and Kueue write these themselves: the operator leaves them out of the hash.
_OF_CLUSTER = ("upgradeStrategy", "suspend")
CAPS = ("replicas", "minReplicas", "maxReplicas")
MUTED = ("tolerations", "schedulingGates")
# The API server fills these in by default, so that writing them down changes nothing.
_DEFAULTS = {"numOfHosts": 1, "priority": 0, "protocol": "TCP"}
# Go writes these always or, when they are empty, never: `{}` means the same as no value. All other
# mappings are pointers in Go, for which `{}` is a value of its own (`emptyDir: {}`).
_STRUCTS = ("metadata", "resources", "scaleStrategy")
_MAPS = (
    "annotations",
    "headServiceAnnotations",
    "labels",
    "matchLabels",
    "nodeSelector",
    "rayStartParams",
)
_QUANTITIES = ("limits", "requests", "overhead")
_EMPTY = (*_STRUCTS, *_MAPS, *_QUANTITIES)
# Go leaves these out when they are false or 0; others are pointers, for which false is a value.
_ZEROES = (
    *("hostIPC", "hostNetwork", "hostPID", "readOnly", "stdin", "stdinOnce", "tty"),
    *("failureThreshold", "initialDelaySeconds", "periodSeconds", "successThreshold"),
    *("timeoutSeconds", "hostPort"),
)
_QUANTITY = ("sizeLimit", "divisor")


def change(running: Document, new: Document) -> Kind:
    """What happens to a cluster when its RayService changes.

    `running` is the spec of the RayCluster, `new` the whole manifest that is applied. "ignored"
    means that the operator accepts the change and does nothing.
    """
    wanted = at(new, "spec", "rayClusterConfig")
    if normal(running) == normal(wanted):
        return "same"
    if cluster_hash(running) == cluster_hash(wanted):
        return "ignored"
    if appended(running, wanted):
        return "in place"
    return "ignored" if upgrade_type(new) == "None" else "second cluster"


def upgrade_type(rayservice: Document) -> str:
    """How the operator replaces a cluster: by default with a new one beside it."""
    return str(at(rayservice, "spec", "upgradeStrategy").get("type") or "NewCluster")


def cluster_hash(ray_cluster_spec: Document) -> str:
    """A text that is equal for two specs exactly if the operator's hash is."""
    spec = copy.deepcopy(ray_cluster_spec)
    _without(spec, _OF_CLUSTER)
    workers = spec.get("workerGroupSpecs") or []
    for group in workers:
        _without(group, CAPS)
        _without(at(group, "scaleStrategy"), ("workersToDelete",))
    for group in (at(spec, "headGroupSpec"), *workers):
        _without(at(group, "template", "spec"), MUTED)
    text = json.dumps(normal(spec), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def appended(before: Document, after: Document) -> bool:
    """Whether the only difference is worker groups that were added at the end."""
    count = len(before.get("workerGroupSpecs") or [])
    first = after | {"workerGroupSpecs": (after.get("workerGroupSpecs") or [])[:count]}
    return cluster_hash(first) == cluster_hash(before)


def _without(document: Document, keys: tuple[str, ...]) -> None:
    for key in keys:
        document.pop(key, None)


def normal(value: Any, key: str = "") -> Any:
    """The value of `key`, as Go reads and writes it after the server's defaults."""
    if key in _QUANTITY:
        return _quantity(value, key)
    if isinstance(value, list):
        return [normal(item) for item in value]
    if not isinstance(value, dict) or key in _MAPS:
        return value
    read: Callable[[Any, str], Any] = _quantity if key in _QUANTITIES else normal
    items = {k: read(v, k) for k, v in value.items() if _DEFAULTS.get(k) != v}
    return {k: v for k, v in items.items() if not _unsaid(k, v)}


def _unsaid(key: str, value: Any) -> bool:
    if key in _ZEROES and value in (False, 0):
        return True
    return value in (None, [], "") or (value == {} and key in _EMPTY)


def _quantity(value: Any, key: str) -> Any:
    """For Go `1000m` and `1` are equal, and `1024Mi` and `1Gi`; `1Gi` and `1073741824` are not."""
    try:
        return [str(quantity(value).normalize()), str(value).endswith("i")]
    except ValueError:
        return value
