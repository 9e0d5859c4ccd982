"""What a changed manifest will do to a running cluster: python -m cluster.diff OLD NEW

For each change: at once, a component restarts, a second cluster (all GPUs twice until it has taken
over), or nothing at all, by KubeRay's real rules.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from blended.errors import BlendedError, ConfigError
from blended.launch.changes import changes
from blended.launch.differences import differences, shown
from cluster.manifests import Document, at, load_file, of_kind, serve_config
from cluster.rules import cluster_hash

# What a live cluster does not take over, although the operator accepts it (KubeRay #4568).
_CAPS = ("replicas", "minReplicas", "maxReplicas")
_SENTENCES = {
    "in place": "The running cluster takes it over: {what}.",
    "ignored": "KubeRay ignores it while this cluster lives: {what}. Delete the RayCluster, or "
    "set spec.upgradeStrategy.type, to have it.",
    "second cluster": "A SECOND CLUSTER starts beside the running one, with all of its GPUs, and "
    "takes over when it is ready: {what}.",
}


def sentences(old: Document, new: Document) -> list[str]:
    """Every change from one RayService to another, in the order of their weight.

    Raises:
        ConfigError: a Serve config is no YAML, or none of a blend.
    """
    if cluster_hash.change(old, new) == "suspended":
        return ["The RayService is suspended: KubeRay deletes its cluster, until `suspend` goes."]
    return [*_of_cluster(old, new), *_of_service(old, new), *_of_blend(old, new)]


def _of_cluster(old: Document, new: Document) -> Iterator[str]:
    before, after = (_by_name(at(m, "spec", "rayClusterConfig")) for m in (old, new))
    kind = cluster_hash.cluster_change(old, new)
    found = differences(before, after)
    caps = [d for d in found if d[0][-1] in _CAPS]
    others = [d for d in found if d[0][-1] not in _CAPS]
    if caps and kind == "ignored":
        what = shown(caps)
        yield (
            f"KubeRay ignores it while this cluster lives: {what}. Patch the RayCluster as well; "
            "replicas within these bounds are changed in serveConfigV2."
        )
        found = others
    if kind != "same" and found:
        yield _SENTENCES[kind].format(what=shown(found))


def _of_service(old: Document, new: Document) -> Iterator[str]:
    before, after = (
        {k: v for k, v in at(m, "spec").items() if k not in ("rayClusterConfig", "serveConfigV2")}
        for m in (old, new)
    )
    if found := differences(before, after):
        yield f"The operator takes it over: {shown(found)}."


def _of_blend(old: Document, new: Document) -> Iterator[str]:
    running, wanted = (
        {app["name"]: app for app in serve_config(m).get("applications", ())} for m in (old, new)
    )
    try:
        found = changes(running, wanted)
    except (KeyError, IndexError, TypeError) as exc:
        raise ConfigError(
            f"A serveConfigV2 is not one of a blend (it lacks {exc}); render it with Blended."
        ) from exc
    yield from (change.sentence for change in found)


def _by_name(cluster: Document) -> dict[str, Any]:
    """The cluster's spec with its worker groups by their names, so that differences are small."""
    workers = {group["groupName"]: group for group in cluster.get("workerGroupSpecs") or ()}
    order = {"order of the groups": list(workers)}
    return {**cluster, "workerGroupSpecs": workers, **order}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; returns the exit status: 2 for what cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m cluster.diff", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args(arguments)
    try:
        old, new = (_rayservice(path) for path in (options.old, options.new))
        found = sentences(old, new)
    except (BlendedError, OSError) as exc:
        print(exc, file=sys.stderr)
        return 2
    print("\n".join(found or ["Nothing changes."]))
    return 0


def _rayservice(path: Path) -> Document:
    found = of_kind(load_file(path), "RayService")
    if len(found) != 1:
        raise ConfigError(f"'{path}' holds {len(found)} RayServices; give a file with one.")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
