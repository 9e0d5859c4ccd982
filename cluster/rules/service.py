"""The mistakes in a RayService that KubeRay 1.7 refuses, and those that it accepts but that fail
later.

The first are a port of the operator's validation.go, whose messages otherwise appear only in the
status of an object that the API server has accepted. `problems` takes documents that have passed
`cluster.rules.crd`: it does not report wrong types.
"""

import re
from collections.abc import Iterator

from blended.errors import ConfigError, Problem
from cluster.manifests import CLUSTER, SERVE, Document, at, environment, ray_version, serve_config
from cluster.rules import placement, pods, serve_keys
from cluster.rules import worker_groups as group_rules
from cluster.yaml_scalars import unclear

MAX_NAME = 47
TIMEOUT = "ray.io/initializing-timeout"

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
# Go's durations, or seconds.
_DURATION = re.compile(r"\+?(\d+|((\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h))+)")
_UPGRADES = ("None", "NewCluster", "NewClusterWithIncrementalUpgrade")
_GATES = {
    "networkPolicy": "RayClusterNetworkPolicy",
    "tlsOptions": "RayClusterMTLS",
    "historyServerOptions": "RayClusterHistoryServer",
}
_HEAD_ENV = f"{CLUSTER}.headGroupSpec.template.spec.containers[0].env"


def problems(rayservice: Document) -> list[Problem]:
    """Every mistake in a RayService: its cluster, its Serve config, its pods, its placement."""
    cluster = at(rayservice, "spec", "rayClusterConfig")
    found = [
        *_metadata(at(rayservice, "metadata")),
        *_upgrade(at(rayservice, "spec")),
        *_cluster(cluster),
        *_auth(cluster),
        *_autoscaler(cluster),
        *_fault_tolerance(cluster, at(rayservice, "metadata", "annotations")),
        *group_rules.problems(rayservice),
    ]
    try:
        serve = serve_config(rayservice)
    except ConfigError as exc:
        return [*found, Problem(SERVE, str(exc)), *pods.problems(rayservice, {})]
    return [*found, *_served(rayservice, serve)]


def _served(rayservice: Document, serve: Document) -> Iterator[Problem]:
    for path, scalar in unclear(at(rayservice, "spec")["serveConfigV2"]):
        message = (
            f"{scalar} is one thing to some readers of YAML and another to others, of which the"
        )
        remedy = "operator is one; quote it, or write serveConfigV2 as JSON"
        yield Problem(f"{SERVE}.{path}".rstrip("."), f"{message} {remedy}")
    for problem in serve_keys.problems(serve):
        yield Problem(f"{SERVE}.{problem.path}", problem.message)
    if serve_keys.by_ray(serve):
        # If Ray cannot read the config, no other check is possible.
        serve = {}
    yield from pods.problems(rayservice, serve)
    yield from placement.problems(rayservice, serve)


def _metadata(metadata: Document) -> Iterator[Problem]:
    name, timeout = str(metadata.get("name", "")), str(at(metadata, "annotations").get(TIMEOUT, ""))
    if not _NAME.fullmatch(name):
        rule = "use small letters, digits and '-', a letter first"
        yield Problem("metadata.name", f"'{name}' is no DNS label; {rule}")
    if len(name) > MAX_NAME:
        rule = f"use at most {MAX_NAME}: the operator appends to it"
        yield Problem("metadata.name", f"'{name}' has {len(name)} characters; {rule}")
    if not timeout:
        message = "is not set, so that a service that cannot start never says so; write 90m"
        yield Problem(f"metadata.annotations['{TIMEOUT}']", message)
    elif not (_DURATION.fullmatch(timeout) and re.search(r"[1-9]", timeout)):
        message = f"'{timeout}' is no time; write 90m, 2h or a number of seconds, above 0"
        yield Problem(f"metadata.annotations['{TIMEOUT}']", message)


def _upgrade(spec: Document) -> Iterator[Problem]:
    path, kind = "spec.upgradeStrategy.type", at(spec, "upgradeStrategy").get("type")
    if kind is None:
        message = "is not set, and the operator takes NewCluster, which needs every GPU twice"
        yield Problem(path, f"{message}; write None, or NewCluster if that is meant")
    elif kind not in _UPGRADES:
        yield Problem(path, f"'{kind}' is unknown to the operator; write {' or '.join(_UPGRADES)}")
    elif kind == "NewClusterWithIncrementalUpgrade":
        yield from _incremental(spec)
    if (delay := spec.get("rayClusterDeletionDelaySeconds", 0)) < 0:
        message = f"{delay} is negative; write 0 or more"
        yield Problem("spec.rayClusterDeletionDelaySeconds", message)
    if "deletionStrategy" in spec:
        yield Problem("spec.deletionStrategy", "is for a RayJob only; remove it")


def _incremental(spec: Document) -> Iterator[Problem]:
    path = "spec.upgradeStrategy.clusterUpgradeOptions"
    options = at(spec, "upgradeStrategy", "clusterUpgradeOptions")
    surge, step = options.get("maxSurgePercent", 100), options.get("stepSizePercent", -1)
    if not at(spec, "rayClusterConfig").get("enableInTreeAutoscaling"):
        message = "is off, and an incremental upgrade needs it; write true"
        yield Problem(f"{CLUSTER}.enableInTreeAutoscaling", message)
    if not 0 <= surge <= 100:
        yield Problem(f"{path}.maxSurgePercent", f"{surge} is no percentage; write 0 to 100")
    if not 0 <= step <= min(surge, 100):
        message = f"{step} is not between 0 and maxSurgePercent, {surge}; write a smaller step"
        yield Problem(f"{path}.stepSizePercent", message)
    if (interval := options.get("intervalSeconds", 0)) <= 0:
        yield Problem(f"{path}.intervalSeconds", f"{interval} is not above 0; write 10, for one")
    if not options.get("gatewayClassName"):
        yield Problem(f"{path}.gatewayClassName", "is not set; name a class of your Gateway API")


def _cluster(cluster: Document) -> Iterator[Problem]:
    for field, gate in _GATES.items():
        if field in cluster:
            message = f"needs the operator's feature gate {gate}, which is off; remove it"
            yield Problem(f"{CLUSTER}.{field}", message)
    if "upgradeStrategy" in cluster:
        message = "is refused below a RayService; write it under spec"
        yield Problem(f"{CLUSTER}.upgradeStrategy", message)
    if not ray_version(cluster):
        message = f"{cluster.get('rayVersion')!r} is no version; write the image's, as '2.60.0'"
        yield Problem(f"{CLUSTER}.rayVersion", message)


def _auth(cluster: Document) -> Iterator[Problem]:
    options, path = at(cluster, "authOptions"), f"{CLUSTER}.authOptions"
    if "mode" not in options:
        message = "is not set, which leaves Ray's dashboard open to anybody; write token"
        yield Problem(f"{path}.mode", message)
    if options.get("enableK8sTokenAuth"):
        yield Problem(f"{path}.enableK8sTokenAuth", "true is refused for a RayService; remove it")
    if options.get("mode") == "token" and (2, 52) > ray_version(cluster) > ():
        message = f"'token' needs Ray 2.52, and rayVersion is '{cluster['rayVersion']}'; raise it"
        yield Problem(f"{path}.mode", message)


def _autoscaler(cluster: Document) -> Iterator[Problem]:
    options, path = at(cluster, "autoscalerOptions"), f"{CLUSTER}.autoscalerOptions"
    on, version = cluster.get("enableInTreeAutoscaling"), options.get("version")
    if on and version != "v2":
        message = f"is {version!r}; write v2, which alone knows labels and times of a group"
        yield Problem(f"{path}.version", message)
    if "RAY_enable_autoscaler_v2" in _head_variables(cluster) and (version or not on):
        message = "RAY_enable_autoscaler_v2 contradicts the manifest; remove it, write version: v2"
        yield Problem(_HEAD_ENV, message)
    if (idle := options.get("idleTimeoutSeconds", 0)) < 0:
        yield Problem(f"{path}.idleTimeoutSeconds", f"{idle} is negative; write 0 or more")
    if "KUBERAY_GEN_AUTOSCALER_START_CMD" in environment(options):
        message = "KUBERAY_GEN_AUTOSCALER_START_CMD is the operator's own variable; remove it"
        yield Problem(f"{path}.env", message)


def _fault_tolerance(cluster: Document, annotations: Document) -> Iterator[Problem]:
    """Only gcsFaultToleranceOptions may say where GCS keeps its state."""
    head, path = at(cluster, "headGroupSpec"), f"{CLUSTER}.gcsFaultToleranceOptions"
    options = at(cluster, "gcsFaultToleranceOptions")
    for name in ("RAY_REDIS_ADDRESS", "REDIS_PASSWORD", "REDIS_USERNAME"):
        if name in _head_variables(cluster):
            yield Problem(_HEAD_ENV, f"{name} is not for the environment; write it in {path}")
    for name in ("redis-password", "redis-username"):
        if at(head, "rayStartParams").get(name):
            where = f"{CLUSTER}.headGroupSpec.rayStartParams.{name}"
            yield Problem(where, f"is refused here; write it in {path}")
    for name in ("ray.io/ft-enabled", "ray.io/external-storage-namespace"):
        if annotations.get(name):
            message = f"is what {path} has replaced; write it there"
            yield Problem(f"metadata.annotations['{name}']", message)
    if options.get("backend") == "rocksdb":
        gate = "GCSFaultToleranceEmbeddedStorage"
        message = f"'rocksdb' needs the operator's feature gate {gate}, which is off; write redis"
        yield Problem(f"{path}.backend", message)
    elif "storage" in options:
        yield Problem(f"{path}.storage", "is for the backend 'rocksdb' only; remove it")


def _head_variables(cluster: Document) -> Document:
    containers = at(cluster, "headGroupSpec", "template", "spec").get("containers") or [{}]
    return environment(containers[0])
