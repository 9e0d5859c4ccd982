"""Ways to spoil a good RayService, and where it is spoilt."""

from typing import Any

from cluster.manifests import CLUSTER, Document
from tests.cluster.manifest import Spoil, cluster, workers

HEAD = f"{CLUSTER}.headGroupSpec"
GROUP = f"{CLUSTER}.workerGroupSpecs[1]"
POD = f"{GROUP}.template.spec"

# What is spoilt, where the mistake is found, and some words of the sentence.
Row = tuple[Spoil, str, str]


def autoscaler(**options: Any) -> Spoil:
    return lambda m: cluster(m)["autoscalerOptions"].update(options)


def without_v2(**fields: Any) -> Spoil:
    def spoil(manifest: Document) -> None:
        cluster(manifest)["autoscalerOptions"]["version"] = "v1"
        for group in cluster(manifest)["workerGroupSpecs"]:
            group.pop("idleTimeoutSeconds")
        workers(manifest).update(fields)

    return spoil
