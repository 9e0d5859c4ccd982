"""Manifests and the cluster that they are for."""

from collections.abc import Sequence
from dataclasses import dataclass

from blended.errors import Problem
from cluster.live.kubectl import Kubernetes
from cluster.manifests import Document, at, of_kind

# What is missing, by the document that needs it.
Found = tuple[str, Problem]


@dataclass(frozen=True)
class ClusterQuery:
    """The manifests, and the cluster that is asked for their requirements."""

    documents: Sequence[Document]
    cluster: Kubernetes

    def knows(self, group: str, kind: str) -> bool:
        """Whether the cluster has a kind that is no part of Kubernetes."""
        return (group, kind) in {
            (crd["spec"]["group"], crd["spec"]["names"]["kind"])
            for crd in self.cluster.get("customresourcedefinitions")
        }

    def namespaces(self) -> dict[str, Document]:
        """The objects that exist or that the manifests create, by name."""
        listed = [*self.cluster.get("namespaces"), *of_kind(self.documents, "Namespace")]
        return {name(found): found for found in listed}


def name(document: Document) -> str:
    """An object's name."""
    return str(at(document, "metadata", "name") or "")


def namespace(document: Document) -> str:
    """An object's namespace."""
    return str(at(document, "metadata", "namespace") or "default")


def title(document: Document) -> str:
    """An object's kind and name."""
    return f"{document.get('kind', 'document')} {name(document)}".strip()
