"""KubeRay's rules for the groups of a RayService: names, labels, replicas, ports, `ray start`."""

import re
from collections import Counter
from collections.abc import Iterator

from blended.errors import Problem
from cluster.manifests import CLUSTER, Document, GroupSpec, at, groups, ray_version

MAX_PORT_NAME = 15

_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_PREFIX = re.compile(rf"(?=.{{1,253}}$){_DOMAIN}(\.{_DOMAIN})*")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_RESOURCES = ("num-cpus", "num-gpus", "memory", "resources")


def problems(rayservice: Document) -> list[Problem]:
    """Mistakes in a head or a worker group that the operator, or Kubernetes after it, refuses."""
    cluster = at(rayservice, "spec", "rayClusterConfig")
    every = groups(rayservice)
    found = [*_names(every), *_serve_port(every[0])]
    for group in every:
        found += [*_containers(group), *_parameters(group), *_labels(group), *_ports(group)]
        found += _restart(group, cluster)
        if not group.head:
            found += [*_replicas(group), *_of_version_2(group, cluster), *_suspended(group)]
    return found


def _names(every: list[GroupSpec]) -> Iterator[Problem]:
    counts = Counter(group.name for group in every)
    for group in every:
        if not group.head and counts[group.name] > 1:
            message = f"'{group.name}' is the name of several groups; give each its own"
            yield Problem(f"{group.path}.groupName", message)
        if group.name == "headgroup":
            message = "'headgroup' is the autoscaler's name of the head; choose another"
            yield Problem(f"{group.path}.groupName", message)


def _serve_port(head: GroupSpec) -> Iterator[Problem]:
    """KubeRay makes the Service of the API from it, also for the workers' pods."""
    names = [str(port.get("name")) for port in head.ray_container.get("ports") or []]
    if not any(name == "serve" or name.startswith("serve-") for name in names):
        message = "no port is named 'serve', so that no Service is made; add serve: 8000"
        yield Problem(f"{head.path}.template.spec.containers[0].ports", message)


def _containers(group: GroupSpec) -> Iterator[Problem]:
    if not group.pod_spec.get("containers"):
        path = f"{group.path}.template.spec.containers"
        yield Problem(path, "is empty; add a container, in which Ray runs")


def _parameters(group: GroupSpec) -> Iterator[Problem]:
    parameters, path = at(group.spec, "rayStartParams"), f"{group.path}.rayStartParams"
    for name, value in parameters.items():
        if not isinstance(value, str):
            yield Problem(f"{path}.{name}", f"{value!r} is no text; write it in quotes")
    if "labels" in parameters:
        yield Problem(f"{path}.labels", f"is refused; write it in {group.path}.labels")
    if group.spec.get("resources"):
        for name in _RESOURCES:
            if parameters.get(name):
                message = f"is refused beside {group.path}.resources; write all in one of them"
                yield Problem(f"{path}.{name}", message)


def _labels(group: GroupSpec) -> Iterator[Problem]:
    for key, value in at(group.spec, "labels").items():
        path = f"{group.path}.labels['{key}']"
        prefix, _, name = key.rpartition("/")
        if not _LABEL.fullmatch(name) or ("/" in key and not _PREFIX.fullmatch(prefix)):
            message = f"'{key}' is no key of a label; use letters, digits, '-', '_' and '.'"
            yield Problem(path, message)
        if value and not _LABEL.fullmatch(value):
            message = f"'{value}' is no value of a label; use 63 letters, digits, '-', '_' and '.'"
            yield Problem(path, message)
        if prefix == "ray.io":
            yield Problem(path, "begins with ray.io/, which is Ray's own; choose another prefix")


def _ports(group: GroupSpec) -> Iterator[Problem]:
    for i, container in enumerate(group.pod_spec.get("containers") or []):
        for k, port in enumerate(container.get("ports") or []):
            name = str(port.get("name", "port"))
            if len(name) > MAX_PORT_NAME or not _PORT_NAME.fullmatch(name):
                rule = f"use at most {MAX_PORT_NAME} small letters, digits and single '-'"
                path = f"{group.path}.template.spec.containers[{i}].ports[{k}].name"
                yield Problem(path, f"'{name}' is no name of a port; {rule}")


def _restart(group: GroupSpec, cluster: Document) -> Iterator[Problem]:
    policy = group.pod_spec.get("restartPolicy", "Never")
    if policy != "Never" and cluster.get("enableInTreeAutoscaling") and _version_2(cluster):
        message = f"'{policy}' is refused with the autoscaler's version v2; write Never"
        yield Problem(f"{group.path}.template.spec.restartPolicy", message)


def _replicas(group: GroupSpec) -> Iterator[Problem]:
    least, most = group.spec.get("minReplicas", 0), group.spec.get("maxReplicas")
    for field in ("minReplicas", "maxReplicas", "replicas"):
        if (count := group.spec.get(field, 0)) < 0:
            yield Problem(f"{group.path}.{field}", f"{count} is negative; write 0 or more")
    if most is None:
        message = "is not set, which lets the group grow without bounds; write how many pods it may"
        yield Problem(f"{group.path}.maxReplicas", message)
    elif least > most:
        message = f"{most} is below minReplicas, {least}; raise it or lower minReplicas"
        yield Problem(f"{group.path}.maxReplicas", message)


def _of_version_2(group: GroupSpec, cluster: Document) -> Iterator[Problem]:
    if (idle := group.spec.get("idleTimeoutSeconds", 0)) < 0:
        yield Problem(f"{group.path}.idleTimeoutSeconds", f"{idle} is negative; write 0 or more")
    used = [name for name in ("idleTimeoutSeconds", "priority") if name in group.spec]
    for field in used:
        if not _version_2(cluster):
            message = f"needs the autoscaler's version v2; write it in {CLUSTER}.autoscalerOptions"
            yield Problem(f"{group.path}.{field}", message)
    if "priority" in used and ray_version(cluster) < (2, 56):
        message = f"needs Ray 2.56, and rayVersion is {cluster.get('rayVersion')!r}; raise it"
        yield Problem(f"{group.path}.priority", message)


def _suspended(group: GroupSpec) -> Iterator[Problem]:
    if group.spec.get("suspend"):
        message = "a single group cannot be suspended; write maxReplicas: 0, or suspend the service"
        yield Problem(f"{group.path}.suspend", message)


def _version_2(cluster: Document) -> bool:
    return bool(at(cluster, "autoscalerOptions").get("version") == "v2")
