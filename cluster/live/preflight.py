"""The requirements of manifests that a Kubernetes cluster lacks, before they are applied."""

import re
from collections.abc import Callable, Iterator, Sequence

from blended.errors import Problem
from cluster.live import prerequisites, secrets
from cluster.live.cluster_query import ClusterQuery, Found, name, namespace, title
from cluster.live.kubectl import Kubernetes
from cluster.manifests import Document, at, of_kind

_OPERATOR = "kuberay-operator"
# A tag of 1.7 with any patch version, with or without a digest behind it.
_VERSION = re.compile(r":v?1\.7(\.\d+)?(@.*)?\Z")
_BY_NAME = "kubernetes.io/metadata.name"
# Kinds that are no part of Kubernetes, and the remedy if they are missing.
_BROUGHT = {
    "ray.io": "install KubeRay (k8s/README.md, step 1)",
    "gateway.networking.k8s.io": "install the Gateway API and a controller, or leave out the "
    "component `gateway`",
    "monitoring.coreos.com": "install the Prometheus operator, or leave out the component "
    "`monitoring`",
}


def problems(documents: Sequence[Document], cluster: Kubernetes) -> list[Found]:
    """Everything that is missing, by the document that needs it.

    Raises:
        ConfigError: the cluster cannot be asked.
    """
    asked = ClusterQuery(documents, cluster)
    return [problem for rule in _RULES for problem in rule(asked)]


def _kinds(asked: ClusterQuery) -> Iterator[Found]:
    for document in asked.documents:
        group, kind = str(document.get("apiVersion")).rpartition("/")[0], str(document.get("kind"))
        if group in _BROUGHT and not asked.knows(group, kind):
            yield title(document), Problem("kind", f"there is no {kind} yet; {_BROUGHT[group]}")


def _operator(asked: ClusterQuery) -> Iterator[Found]:
    label = "app.kubernetes.io/name"
    deployments = asked.cluster.get("deployments")
    operators = [d for d in deployments if at(d, "metadata", "labels").get(label) == _OPERATOR]
    if not operators:
        for service in of_kind(asked.documents, "RayService"):
            message = "there is no operator that acts on it; install KubeRay"
            yield title(service), Problem("kind", message)
    for operator in operators:
        yield from _version(operator)
        for policy in of_kind(asked.documents, "NetworkPolicy"):
            if "Ingress" in policy["spec"].get("policyTypes", ("Ingress",)):
                yield from _admits(policy, namespace(operator))


def _version(operator: Document) -> Iterator[Found]:
    image = str(operator["spec"]["template"]["spec"]["containers"][0]["image"])
    if not _VERSION.search(image):
        message = f"is '{image}', and the rules that are checked here are those of 1.7"
        yield title(operator), Problem("image", f"{message}; install that")


def _admits(policy: Document, operator: str) -> Iterator[Found]:
    peers = [peer for rule in policy["spec"].get("ingress", ()) for peer in rule.get("from", ())]
    admitted = {at(peer, "namespaceSelector", "matchLabels").get(_BY_NAME) for peer in peers}
    if operator not in admitted:
        message = f"does not admit '{operator}', where the operator is; write its name there"
        yield title(policy), Problem("spec.ingress", message)


def _namespaces(asked: ClusterQuery) -> Iterator[Found]:
    wanted = dict.fromkeys(namespace(d) for d in asked.documents if d.get("kind") != "Namespace")
    there = asked.namespaces()
    for missing in (found for found in wanted if found not in there and found != "default"):
        message = f"is not there; `kubectl create namespace {missing}`"
        yield f"Namespace {missing}", Problem("metadata.name", message)


def _services(asked: ClusterQuery) -> Iterator[Found]:
    """KubeRay lets two RayServices share one Service, which then changes between them."""
    there = asked.cluster.get("rayservices.ray.io") if asked.knows("ray.io", "RayService") else []
    for wanted in of_kind(asked.documents, "RayService"):
        for other in there:
            beside = namespace(other) == namespace(wanted) and name(other) != name(wanted)
            if beside and _service(other) == _service(wanted):
                message = f"'{_service(wanted)}' is the Service of '{name(other)}', and requests"
                message += " would go now to one, now to the other; leave spec.serveService out"
                yield title(wanted), Problem("spec.serveService.metadata.name", message)


def _service(rayservice: Document) -> str:
    given = at(rayservice, "spec", "serveService", "metadata").get("name")
    return str(given or f"{name(rayservice)}-serve-svc")


_RULES: tuple[Callable[[ClusterQuery], Iterator[Found]], ...] = (
    _kinds,
    _operator,
    _namespaces,
    _services,
    secrets.problems,
    prerequisites.gateways,
    prerequisites.scrapers,
    prerequisites.claims,
    prerequisites.nodes,
)
