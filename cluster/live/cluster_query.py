"""Manifests beside the cluster that they are for, and what is read of both."""

from collections.abc import Sequence
from dataclasses import dataclass

from blended.errors import Problem
from cluster.live.kubectl import Kubernetes
from cluster.manifests import Document, at, of_kind

# What is missing, by the document that needs it.
Found = tuple[str, Problem]


@dataclass(frozen=True)
class ClusterQuery:
    """The manifests, and the cluster that is asked for what they need."""

    documents: Sequence[Document]
    cluster: Kubernetes

    def knows(self, group: str, kind: str) -> bool:
        """Whether the cluster has a kind that Kubernetes has not by itself."""
        return (group, kind) in {
            (crd["spec"]["group"], crd["spec"]["names"]["kind"])
            for crd in self.cluster.get("customresourcedefinitions")
        }

    def namespaces(self) -> dict[str, Document]:
        """Those that there are or that the manifests make, by name."""
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
