"""The container that Ray runs in, on every pod: environment, ports, probe, volumes, rights.

Secrets and addresses come from objects with fixed names in the blend's namespace.
k8s/common/secret.example.yaml shows the secrets; the components under k8s/ bring the others.
"""

from operator import itemgetter
from pathlib import PurePosixPath

from blended.config import BlendConfig, RemoteComponent
from blended.errors import ConfigError
from blended.folders import STATE_DIR_ENV
from blended.internal import INTERNAL_KEY_ENV
from blended.journal.from_config import URL_ENV
from blended.journal.identity import SECRET_ENV
from blended.launch.environment import PRIVACY_ENV, SERVE_ENV, haproxy_env
from blended.learning.policy_files import FOLDER
from blended.router.blend import CLIENT_KEY_ENV
from blended.tracing import ENDPOINT_ENV
from cluster.manifests import Document
from cluster.pod_groups import PodGroup

HTTP_PORT = 8000
# Where the images have it.
_HAPROXY = "/usr/local/bin/blended-haproxy"
KEYS = "blended-keys"
KEYS_FILE = "blended-keys-file"
POLICIES = "blended-policies"
COLLECTOR = "blended-collector"

_STATE = "/var/lib/blended"
# The volumes that are only read.
_READ = ("keys", "policies")
_MODELS = "/models"
_HEAD_PORTS = {
    "gcs-server": 6379,
    "dashboard": 8265,
    "client": 10001,
    "as-metrics": 44217,
    "dash-metrics": 44227,
}
_PORTS = {"serve": HTTP_PORT, "metrics": 8080}
# KubeRay's own two probes, with longer limits than its one second and one failure.
_HEALTHY = " && ".join(
    f"wget -q -T 4 -O- http://localhost:{path} | grep -q success"
    for path in ("52365/api/local_raylet_healthz", f"{HTTP_PORT}/-/healthz")
)
RIGHTS: Document = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def drain_s(blend: BlendConfig) -> int:
    """The time in which a terminating pod has to end: the longest shutdown of any replica."""
    replicas = (blend.router.replicas, *(one.replicas for one in blend.served))
    return round(max(r.graceful_shutdown_timeout_s for r in replicas))


def container(blend: BlendConfig, group: PodGroup, image: str, role: str) -> Document:
    """The container of a group's pods; `role` is `head`, `router` or `component`.

    Raises:
        ConfigError: the file with the clients' keys has no absolute path.
    """
    ports = _PORTS | (_HEAD_PORTS if role == "head" else {})
    ready = {} if role == "head" else {"readinessProbe": _readiness()}
    return {
        "name": "ray-head" if role == "head" else "ray-worker",
        "image": image,
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        "env": _environment(blend, group, role),
        "resources": {"limits": dict(group.limits), "requests": dict(group.requests)},
        **ready,
        "securityContext": RIGHTS,
        "volumeMounts": [
            {"name": name, "mountPath": path, **({"readOnly": True} if name in _READ else {})}
            for name, path, _ in _volumes(blend, group, role)
        ],
    }


def volumes(blend: BlendConfig, group: PodGroup, role: str) -> list[Document]:
    """The volumes that the container mounts."""
    return [{"name": name, **source} for name, _, source in _volumes(blend, group, role)]


def _readiness() -> Document:
    return {
        "exec": {"command": ["bash", "-c", _HEALTHY]},
        "periodSeconds": 5,
        "timeoutSeconds": 10,
        "failureThreshold": 3,
    }


def _environment(blend: BlendConfig, group: PodGroup, role: str) -> list[Document]:
    longest = str(drain_s(blend))
    plain = {
        **SERVE_ENV,
        **haproxy_env(_HAPROXY),
        **PRIVACY_ENV,
        # A stream survives a reload of HAProxy, or the termination of a worker, for this time. The
        # head has no streams, and workers end soon after it, so that a deleted cluster ends soon.
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": longest,
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0" if role == "head" else longest,
        **({"HF_HOME": _MODELS} if group.model_cache else {}),
        **({STATE_DIR_ENV: _STATE} if role == "router" else {}),
    }
    secret = [_from_secret(INTERNAL_KEY_ENV, "internal-key")]
    if role == "router":
        secret += _of_router(blend)
    if group.model_cache:
        secret.append(_from_secret("HF_TOKEN", "hf-token", optional=True))
    collector = {"name": COLLECTOR, "key": "endpoint", "optional": True}
    found = [
        *({"name": name, "value": value} for name, value in plain.items()),
        *secret,
        {"name": ENDPOINT_ENV, "valueFrom": {"configMapKeyRef": collector}},
    ]
    # KubeRay would start another cluster for any other order.
    return sorted(found, key=itemgetter("name"))


def _of_router(blend: BlendConfig) -> list[Document]:
    remote = [c.api_key_env for c in blend.components if isinstance(c, RemoteComponent)]
    return [
        _from_secret(CLIENT_KEY_ENV, "api-key"),
        _from_secret(SECRET_ENV, "journal-secret"),
        _from_secret(URL_ENV, "journal-url", optional=True),
        *(_from_secret(name, name) for name in dict.fromkeys(remote) if name),
    ]


def _from_secret(name: str, key: str, optional: bool = False) -> Document:
    reference = {"name": KEYS, "key": key, **({"optional": True} if optional else {})}
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _volumes(blend: BlendConfig, group: PodGroup, role: str) -> list[tuple[str, str, Document]]:
    shared = {"emptyDir": {"medium": "Memory", "sizeLimit": group.shared_memory}}
    found: list[tuple[str, str, Document]] = [("shared-memory", "/dev/shm", shared)]
    if group.model_cache:
        claim = {"persistentVolumeClaim": {"claimName": group.model_cache}}
        found.append(("models", _MODELS, claim))
    if role == "router":
        found.append(("state", _STATE, {"emptyDir": {}}))
        # Mounted before there is any: a pod that changes would be replaced.
        policies = {"configMap": {"name": POLICIES, "optional": True}}
        found.append(("policies", f"{_STATE}/{FOLDER}", policies))
        if (path := blend.api.keys_file) is not None:
            found.append(("keys", _folder(path), {"secret": {"secretName": KEYS_FILE}}))
    return found


def _folder(keys_file: str) -> str:
    path = PurePosixPath(keys_file)
    if not path.is_absolute() or len(path.parts) < 3:
        raise ConfigError(
            f"api.keys_file is '{keys_file}'; on a cluster it is the file of a mounted secret: "
            f"write its absolute path in a folder of its own, as /etc/blended/{path.name}."
        )
    return str(path.parent)
