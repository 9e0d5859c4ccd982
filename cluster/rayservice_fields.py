"""KubeRay's reaction to changes of a RayService's own fields, those outside of cluster and Serve
config.

By the operator's source, and as observed with version 1.7.0.
"""

from collections.abc import Iterator, Sequence

from blended.launch.json_diff import Difference, differences, shown
from cluster.manifests import Document, at
from cluster.rules.cluster_hash import Kind
from cluster.rules.service import TIMEOUT

_APART = ("rayClusterConfig", "serveConfigV2", "upgradeStrategy")
_MARKS = ("annotations", "labels")


def sentences(old: Document, new: Document, kind: Kind) -> Iterator[str]:
    """The effect of each change; `kind` is the effect on the cluster."""
    found = [d for d in differences(_fields(old), _fields(new)) if not _nothing(d)]
    renamed = [d for d in found if d[0][:3] == ("serveService", "metadata", "name")]
    marks = [d for d in found if d[0][0] in _MARKS and d[0][-1] != TIMEOUT]
    service = [d for d in found if d[0][0] == "serveService" and d not in renamed]
    others = [d for d in found if d not in (*renamed, *marks, *service)]
    if others:
        yield f"The operator takes it over: {shown(others)}."
    if renamed:
        yield (
            f"A NEW Service is made, and the old one stays: {shown(renamed)}. Point routes and "
            "clients at the new one, and delete the old one yourself."
        )
    if kind == "second cluster":
        if service or marks:
            yield f"The second cluster brings it: {shown([*service, *marks])}."
        return
    if service:
        yield (
            f"KubeRay ignores it until another cluster takes over: {shown(service)}. Patch the "
            "Service as well."
        )
    if marks:
        yield _of_marks(marks, kind)


def _of_marks(marks: Sequence[Difference], kind: Kind) -> str:
    if kind == "in place":
        return f"The running RayCluster gets it too: {shown(marks)}."
    return (
        f"KubeRay reads it only when it makes or updates a RayCluster: {shown(marks)}. The running "
        "one keeps its own; Kueue, for one, does not see it."
    )


def _fields(rayservice: Document) -> Document:
    spec, metadata = at(rayservice, "spec"), at(rayservice, "metadata")
    service = {key: at(spec, "serveService", key) for key in ("metadata", "spec")}
    marks = {key: _ours(at(metadata, key)) for key in _MARKS}
    others = {key: value for key, value in spec.items() if key not in _APART}
    return others | {"serveService": service} | marks


def _ours(marks: Document) -> Document:
    """Metadata without the entries that the server or kubectl writes."""
    return {key: value for key, value in marks.items() if "kubectl.kubernetes.io/" not in key}


def _nothing(difference: Difference) -> bool:
    """`suspend: false` and empty fields mean the same as no value."""
    _, before, after = difference
    return not before and not after
