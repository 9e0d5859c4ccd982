"""An edit of a RayService, and the parts of it that the running cluster lacks."""

from dataclasses import dataclass

from blended.launch.json_diff import Difference
from cluster.manifests import Document, at
from cluster.raycluster_diff import changed
from cluster.rules import cluster_hash
from cluster.rules.cluster_hash import Kind

_SCALE = ("replicas", "scaleStrategy")


@dataclass(frozen=True)
class Edit:
    """The manifest to apply, the manifest applied last, and the running RayCluster.

    One of `old` and `live` may be missing, but not both: without `live` the cluster is assumed to
    be as `old` describes it.
    """

    new: Document
    old: Document | None = None
    live: Document | None = None

    @property
    def wanted(self) -> Document:
        """The spec of the cluster that the edit asks for."""
        return {**at(self.new, "spec", "rayClusterConfig")}

    @property
    def applied(self) -> Document:
        """The spec that the last edit asked for."""
        return {**at(self.old or {}, "spec", "rayClusterConfig")}

    @property
    def running(self) -> Document:
        """The spec of the cluster that runs."""
        return self.applied if self.live is None else {**at(self.live, "spec")}

    @property
    def kind(self) -> Kind:
        """What becomes of the running cluster."""
        return cluster_hash.change(self.running, self.new)

    @property
    def held_up(self) -> bool:
        """Whether the cluster would have added the new group without earlier ignored edits."""
        groups = (len(spec.get("workerGroupSpecs") or []) for spec in (self.wanted, self.applied))
        more = self.old is not None and next(groups) > next(groups)
        return more and self.kind == "ignored" and cluster_hash.appended(self.applied, self.wanted)

    def lacking(self) -> list[Difference]:
        """What the running cluster lacks."""
        return self._but_scale(changed(self.running, self.wanted))

    def pending(self) -> list[Difference]:
        """What it lacks of earlier edits; unknown, and therefore empty, without `live`."""
        if self.old is None or self.live is None:
            return []
        return self._but_scale(changed(self.running, self.applied))

    def _but_scale(self, found: list[Difference]) -> list[Difference]:
        """Without what the autoscaler writes into the RayCluster."""
        return found if self.live is None else [d for d in found if not set(_SCALE) & set(d[0])]
