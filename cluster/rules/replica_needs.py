"""The requirements of a Serve config's replicas for the nodes that they run on."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from blended.app import PICKER
from blended.components.placement import replica_options
from blended.config import Engine
from cluster.manifests import SERVE, Document, at
from cluster.rules.serve_keys import deployment_names

ACCELERATOR = "accelerator_type:"

# Ray Serve's default for `num_replicas: auto`.
_AUTO = 100


@dataclass(frozen=True)
class ReplicaNeed:
    """The requirements of a deployment's replicas for nodes; `path` is its place in the config.

    `bundles` are the parts of one replica, all on one pod if it is `packed`. `selectors` are the
    labels that these pods need. `per_pod` is the largest number of replicas on a pod; 0 means no
    limit.
    """

    path: str
    name: str
    replicas: int
    bundles: Sequence[Mapping[str, float]]
    packed: bool
    selectors: Sequence[Mapping[str, str]]
    per_pod: int = 0

    def total(self, resource: str) -> float:
        """The resources of one replica."""
        return math.fsum(bundle.get(resource, 0) for bundle in self.bundles)

    def at_once(self, resource: str) -> float:
        """The resources that a pod needs, so that any replica can run there."""
        largest = max(bundle.get(resource, 0) for bundle in self.bundles)
        return self.total(resource) if self.packed else largest


def needs(serve: Document) -> list[ReplicaNeed]:
    """The requirements of every deployment that the config names or that our builders make."""
    return [
        need
        for i, application in enumerate(serve.get("applications") or [])
        for need in _of_application(application, f"{SERVE}.applications[{i}]")
    ]


def _of_application(application: Document, path: str) -> Iterator[ReplicaNeed]:
    entries = {
        str(entry.get("name")): (f"{path}.deployments[{i}]", entry)
        for i, entry in enumerate(application.get("deployments") or [])
    }
    for name in deployment_names(application) or ():
        # Without an entry of its own it has no requirements and may run anywhere.
        if name != PICKER:
            entries.setdefault(name, (path, {}))
    built = _built(application)
    for name, (where, entry) in entries.items():
        if name == PICKER:
            yield _need(name, where, entry)
        elif built is not None:
            yield _need(name, where, built | entry)


def _built(application: Document) -> Document | None:
    """The requirements that one of our builders sets; None if its arguments are wrong."""
    if application.get("import_path") != "blended.app:build_vllm":
        return {}
    try:
        engine = Engine.model_validate(at(application, "args").get("engine"))
    except ValidationError:
        return None
    return replica_options(engine)


def _need(name: str, path: str, options: Document) -> ReplicaNeed:
    actor = options.get("ray_actor_options") or {}
    bundles = options.get("placement_group_bundles")
    cpus = actor.get("num_cpus")
    alone = {"CPU": 1 if cpus is None else cpus, "GPU": actor.get("num_gpus") or 0}
    if kind := actor.get("accelerator_type"):
        alone[f"{ACCELERATOR}{kind}"] = 0.001
    selectors = options.get("placement_group_bundle_label_selector") if bundles else None
    return ReplicaNeed(
        path=path,
        name=name,
        replicas=_most_replicas(options),
        bundles=bundles or [alone],
        packed=not bundles or options.get("placement_group_strategy") == "STRICT_PACK",
        selectors=selectors or [actor.get("label_selector") or {}],
        per_pod=options.get("max_replicas_per_node") or 0,
    )


def _most_replicas(options: Document) -> int:
    fixed: Any = options.get("num_replicas") or 1
    default = _AUTO if fixed == "auto" else fixed
    return int(at(options, "autoscaling_config").get("max_replicas", default))
