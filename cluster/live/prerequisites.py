"""Requirements that others install in a cluster: Gateways, storage, nodes."""

from collections.abc import Iterator, Mapping
from typing import Any

from blended.errors import Problem
from cluster.live.cluster_query import ClusterQuery, Found, name, namespace, title
from cluster.manifests import Document, at, groups, of_kind
from cluster.rules.pods import amount

_GATEWAY_API = "gateway.networking.k8s.io"
_LABELS = ("metadata", "labels")
_CLIENT, _SCRAPER = "blended/client", "blended/prometheus"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
# Storage that only one node can write: pods on other nodes would wait for it for ever.
_ONE_NODE = (
    "ebs.csi.aws.com",
    "pd.csi.storage.gke.io",
    "disk.csi.azure.com",
    "rancher.io/local-path",
    "k8s.io/minikube-hostpath",
    "kubernetes.io/no-provisioner",
)


def gateways(asked: ClusterQuery) -> Iterator[Found]:
    """Routes whose Gateway is missing, does not accept them, or may not reach the API."""
    routes, known = of_kind(asked.documents, "HTTPRoute"), asked.knows(_GATEWAY_API, "Gateway")
    listed = asked.cluster.get(f"gateways.{_GATEWAY_API}") if routes and known else []
    there, places = {(namespace(g), name(g)): g for g in listed}, asked.namespaces()
    for route in routes:
        for parent in at(route, "spec").get("parentRefs") or []:
            place = str(parent.get("namespace", namespace(route)))
            gateway, labels = (
                there.get((place, parent["name"])),
                at(places.get(place, {}), *_LABELS),
            )
            if gateway is None:
                message = (
                    f"there is no Gateway '{parent['name']}' in '{place}'; make it, or name yours"
                )
                yield title(route), Problem("spec.parentRefs", message)
            elif place != namespace(route) and not _takes_others(gateway):
                message = f"the Gateway '{parent['name']}' takes routes of '{place}' alone; write"
                yield title(route), Problem("spec.parentRefs", f"{message} allowedRoutes there")
            elif labels.get(_CLIENT) != "true":
                yield title(route), Problem("spec.parentRefs", _unlabelled(place, _CLIENT))


def scrapers(asked: ClusterQuery) -> Iterator[Found]:
    """Pod monitors that the network policy lets no namespace use."""
    marked = [n for n, found in asked.namespaces().items() if at(found, *_LABELS).get(_SCRAPER)]
    for monitor in of_kind(asked.documents, "PodMonitor"):
        if not marked:
            yield title(monitor), Problem("spec.selector", _unlabelled("PROMETHEUS", _SCRAPER))


def claims(asked: ClusterQuery) -> Iterator[Found]:
    """Claims for storage that many nodes write, if no storage class offers it."""
    shared = [c for c in of_kind(asked.documents, "PersistentVolumeClaim") if _is_shared(c)]
    if not shared:
        return
    classes = {name(found): found for found in asked.cluster.get("storageclasses")}
    there = asked.cluster.get("persistentvolumeclaims")
    bound = {(namespace(c), name(c)) for c in there if at(c, "status").get("phase") == "Bound"}
    for claim in shared:
        if (namespace(claim), name(claim)) not in bound:
            yield from _of_class(claim, classes)


def nodes(asked: ClusterQuery) -> Iterator[Found]:
    """Groups whose pods fit no node."""
    there = asked.cluster.get("nodes")
    for service in of_kind(asked.documents, "RayService"):
        for group in groups(service):
            wanted = at(group.pod_spec, "nodeSelector")
            limits = at(group.ray_container, "resources", "limits")
            gpus = {key: count for key, count in limits.items() if key.endswith("/gpu")}
            if not any(_holds(node, wanted, gpus) for node in there):
                needs = [f"{key}={value}" for key, value in wanted.items()]
                needs += [f"{count} of {key}" for key, count in gpus.items()]
                what = f"no node has {' and '.join(needs)}" if needs else "there is no node"
                message = f"{what}; add one, unless an autoscaler does"
                path = f"{group.path}.template.spec.nodeSelector"
                yield title(service), Problem(path, message)


def _takes_others(gateway: Document) -> bool:
    """Whether a listener accepts routes of other namespaces, by the Gateway API's rules."""
    listeners = at(gateway, "spec").get("listeners") or []
    origins = [at(listener, "allowedRoutes", "namespaces").get("from") for listener in listeners]
    return any(origin in ("All", "Selector") for origin in origins)


def _unlabelled(place: str, label: str) -> str:
    command = f"kubectl label namespace {place} {label}=true"
    return f"'{place}' is not admitted by the network policy; `{command}`"


def _is_shared(claim: Document) -> bool:
    return "ReadWriteMany" in (at(claim, "spec").get("accessModes") or [])


def _of_class(claim: Document, classes: Mapping[str, Document]) -> Iterator[Found]:
    given = at(claim, "spec").get("storageClassName")
    marked = ((n, at(c, "metadata", "annotations")) for n, c in classes.items())
    defaults = [n for n, annotations in marked if annotations.get(_DEFAULT_CLASS) == "true"]
    found = classes.get(given or next(iter(defaults), ""))
    path, remedy = "spec.storageClassName", "name one that many nodes write (NFS, CephFS)"
    if found is None:
        what = f"there is no class '{given}'" if given else "no class is the default"
        yield title(claim), Problem(path, f"{what}; {remedy}")
    elif found["provisioner"] in _ONE_NODE:
        message = f"'{found['provisioner']}' has storage that one node writes at a time; {remedy}"
        yield title(claim), Problem(path, message)


def _holds(node: Document, wanted: Mapping[str, str], gpus: Mapping[str, Any]) -> bool:
    labels, has = at(node, "metadata", "labels"), at(node, "status", "allocatable")
    labelled = wanted.items() <= labels.items()
    return labelled and all(amount(has.get(key)) >= amount(n) for key, n in gpus.items())
