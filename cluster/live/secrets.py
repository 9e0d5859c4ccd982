"""The secrets that manifests need, by the names of their entries alone."""

from collections.abc import Iterator
from typing import Any

from blended.errors import Problem
from cluster.live.cluster_query import ClusterQuery, Found, namespace
from cluster.manifests import Document, at, groups


def problems(asked: ClusterQuery) -> Iterator[Found]:
    """Missing secrets, and missing entries of secrets."""
    wanted = dict.fromkeys(entry for d in asked.documents for entry in _entries(d))
    objects = dict.fromkeys((place, secret) for place, secret, _ in wanted)
    there = {(place, secret): asked.cluster.entries(secret, place) for place, secret in objects}
    for place, secret, entry in wanted:
        found = there[place, secret]
        if found is None or entry not in found:
            what = "is not there" if found is None else f"has no '{entry}'"
            message = f"{what} in '{place}'; k8s/README.md has the command"
            yield f"Secret {secret}", Problem(f"data.{entry}", message)


def _entries(document: Document) -> Iterator[tuple[str, str, str]]:
    """Namespace, secret and entry of each reference that is not optional."""
    place, cluster = namespace(document), at(document, "spec", "rayClusterConfig")
    specs = (
        [group.pod_spec for group in groups(document)]
        if document.get("kind") == "RayService"
        else [at(document, "spec", "template", "spec")]
    )
    redis = at(cluster, "gcsFaultToleranceOptions", "redisPassword")
    for reference in _references([*specs, redis]):
        if not reference.get("optional"):
            yield place, str(reference["name"]), str(reference["key"])
    if token := at(cluster, "authOptions").get("secretName"):
        yield place, str(token), "auth_token"


def _references(value: Any) -> Iterator[Document]:
    """Every `secretKeyRef` below a value."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if key == "secretKeyRef":
            yield item
        elif isinstance(item, dict | list):
            yield from _references(item)
