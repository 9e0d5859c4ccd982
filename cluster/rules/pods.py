"""Settings in the pods of a RayService that Kubernetes accepts but that cause trouble."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from blended.errors import Problem, field_path
from cluster.manifests import CLUSTER, SERVE, Document, GroupSpec, at, environment, groups, quantity

HEAD_MEMORY = "8Gi"
CLUSTER_LABEL = "ray.io/cluster"

# The defaults of Kubernetes and Ray Serve.
_GRACE_S = 30
_SHUTDOWN_S = 20
_SECRET = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|PASSPHRASE|CREDENTIALS?)\Z", re.IGNORECASE)
_URL_WITH_PASSWORD = re.compile(r"://[^/@:\s]*:[^/@\s]+@")
_REFERENCE = re.compile(r"\$\([A-Za-z_][A-Za-z0-9_]*\)|")


def problems(rayservice: Document, serve: Document) -> list[Problem]:
    """Mistakes in probes, limits, images and secrets; `serve` is the service's Serve config."""
    found = list(_secrets_of_cluster(rayservice, serve))
    for group in groups(rayservice):
        found += [*_images(group), *_secrets(group), *_cpus(group), *_gpus(group)]
        found += _quantities(group)
        found += _head(group) if group.head else _worker(group, serve)
    return found


def budget_problems(budget: Document) -> list[Problem]:
    """Mistakes that keep a PodDisruptionBudget from protecting the pods of a RayService."""
    spec, found = at(budget, "spec"), []
    if "maxUnavailable" in spec:
        message = "needs a scale subresource, which a RayCluster lacks, and blocks every drain"
        found.append(Problem("spec.maxUnavailable", f"{message}; write minAvailable"))
    elif type(least := spec.get("minAvailable")) is not int:
        message = f"{least!r} is no whole number, without which a RayCluster's pods are not counted"
        found.append(Problem("spec.minAvailable", f"{message}; write 1, for one"))
    expressions = at(spec, "selector").get("matchExpressions") or []
    keys = {*at(spec, "selector", "matchLabels"), *(e.get("key") for e in expressions)}
    if CLUSTER_LABEL in keys:
        message = f"{CLUSTER_LABEL} ends in another random text with every cluster"
        found.append(Problem("spec.selector", f"{message}; select by labels of the group"))
    return found


def cpus(group: GroupSpec) -> Any:
    """The value from which Ray reads a pod's CPUs, as written; None if there is none."""
    return _declared(group, "CPU", "num-cpus", "cpu")


def gpus(group: GroupSpec) -> Any:
    """The value from which Ray reads a pod's GPUs, as written; None if there is none."""
    container = at(group.ray_container, "resources")
    names = [n for kind in ("limits", "requests") for n in at(container, kind) if n.endswith("gpu")]
    return _declared(group, "GPU", "num-gpus", names[0] if names else "nvidia.com/gpu")


def amount(value: Any) -> Decimal:
    """A quantity as a number; 0 for no value or an invalid one, which is reported elsewhere."""
    try:
        return quantity(value or 0)
    except ValueError:
        return Decimal(0)


def _declared(group: GroupSpec, resource: str, parameter: str, limit: str) -> Any:
    container = at(group.ray_container, "resources")
    places = (
        at(group.spec, "resources").get(resource),
        at(group.spec, "rayStartParams").get(parameter),
        at(container, "limits").get(limit),
        at(container, "requests").get(limit),
    )
    return next((value for value in places if value is not None), None)


def _head(head: GroupSpec) -> Iterator[Problem]:
    path = f"{head.path}.template.spec.containers[0].resources.limits"
    if amount(gpus(head)) > 0:
        message = f"{gpus(head)} GPUs on the head serve no replica; remove them"
        yield Problem(path, message)
    if amount(cpus(head) or 1) > 0:
        message = f"is {at(head.spec, 'rayStartParams').get('num-cpus')!r}; write '0', which keeps"
        message += " replicas off the node that nothing can replace"
        yield Problem(f"{head.path}.rayStartParams.num-cpus", message)
    memory = at(head.ray_container, "resources", "limits").get("memory", 0)
    if amount(memory) < amount(HEAD_MEMORY):
        message = f"{memory} is too little for the head, which dies of it; write {HEAD_MEMORY}"
        yield Problem(f"{path}.memory", message)


def _worker(group: GroupSpec, serve: Document) -> Iterator[Problem]:
    path = f"{group.path}.template.spec"
    probe = group.ray_container.get("readinessProbe") or {"failureThreshold": 1}
    if probe.get("failureThreshold") == 1:
        message = "gives up after 1 failure, as the operator's own probe does; write 3"
        yield Problem(f"{path}.containers[0].readinessProbe.failureThreshold", message)
    grace = group.pod_spec.get("terminationGracePeriodSeconds", _GRACE_S)
    deployments = [d for a in serve.get("applications") or [] for d in a.get("deployments") or []]
    longest = max(
        (d.get("graceful_shutdown_timeout_s", _SHUTDOWN_S) for d in deployments), default=0
    )
    if grace < longest:
        message = f"{grace} is below the {longest} s that replicas may take to finish; raise it"
        yield Problem(f"{path}.terminationGracePeriodSeconds", message)


def _cpus(group: GroupSpec) -> Iterator[Problem]:
    if cpus(group) is None:
        message = "is not set, so that the autoscaler fails for all groups; write how many"
        path = f"{group.path}.template.spec.containers[0].resources.limits.cpu"
        yield Problem(path, message)


def _quantities(group: GroupSpec) -> Iterator[Problem]:
    for path, container in _containers(group):
        for kind in ("limits", "requests"):
            for name, value in at(container, "resources", kind).items():
                try:
                    quantity(value)
                except ValueError as exc:
                    yield Problem(f"{path}.resources.{kind}['{name}']", str(exc))


def _gpus(group: GroupSpec) -> Iterator[Problem]:
    resources = at(group.ray_container, "resources")
    limits, requests = at(resources, "limits"), at(resources, "requests")
    for name, count in limits.items():
        if name.endswith("gpu") and amount(count) % 1:
            message = f"{count} is no whole number, and Kubernetes gives whole GPUs alone; write 1"
            path = f"{group.path}.template.spec.containers[0].resources.limits['{name}']"
            yield Problem(path, f"{message}, and a gpu_fraction in the blend")
    for name, count in requests.items():
        if name.endswith("gpu") and str(limits.get(name)) != str(count):
            message = f"{count} is not the limit, {limits.get(name)}; GPUs need the same in both"
            path = f"{group.path}.template.spec.containers[0].resources.requests['{name}']"
            yield Problem(path, message)


def _containers(group: GroupSpec) -> Iterator[tuple[str, Document]]:
    for kind in ("initContainers", "containers"):
        for i, container in enumerate(group.pod_spec.get(kind) or []):
            yield f"{group.path}.template.spec.{kind}[{i}]", container


def _images(group: GroupSpec) -> Iterator[Problem]:
    for path, container in _containers(group):
        image = str(container.get("image", ""))
        name, _, tag = image.rpartition("/")[2].partition(":")
        if not name or ("@" not in image and tag in ("", "latest")):
            message = f"'{image}' may be another image tomorrow; name a version or a digest"
            yield Problem(f"{path}.image", message)


def _secrets(group: GroupSpec) -> Iterator[Problem]:
    for path, container in _containers(group):
        for name, variable in environment(container).items():
            yield from _secret(f"{path}.env['{name}']", name, variable.get("value"))


def _secrets_of_cluster(rayservice: Document, serve: Document) -> Iterator[Problem]:
    cluster = at(rayservice, "spec", "rayClusterConfig")
    for name, variable in environment(at(cluster, "autoscalerOptions")).items():
        path = f"{CLUSTER}.autoscalerOptions.env['{name}']"
        yield from _secret(path, name, variable.get("value"))
    redis = at(cluster, "gcsFaultToleranceOptions", "redisPassword").get("value")
    path = f"{CLUSTER}.gcsFaultToleranceOptions.redisPassword.value"
    yield from _secret(path, "PASSWORD", redis)
    for path, name, value in _texts(serve, SERVE):
        yield from _secret(path, name, value)


def _texts(value: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Every environment variable in a Serve config, of applications and of deployments."""
    items = enumerate(value) if isinstance(value, list) else ()
    for key, item in value.items() if isinstance(value, dict) else items:
        where = field_path([key], path)
        if isinstance(item, dict | list):
            yield from _texts(item, where)
        elif path.endswith(("env_vars", ".env")):
            yield where, str(key), str(item)


def _secret(path: str, name: str, value: Any) -> Iterator[Problem]:
    text = str(value or "")
    if _REFERENCE.fullmatch(text):
        return
    if _SECRET.search(name) or _URL_WITH_PASSWORD.search(text):
        message = "can be read here by anybody; write valueFrom: {secretKeyRef: …}"
        yield Problem(path, f"'{name}' {message}")
