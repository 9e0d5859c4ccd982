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
from blended.launch.differences import Difference, differences, shown
from cluster.manifests import Document, at, load_file, of_kind, serve_config
from cluster.rules import cluster_hash, placement

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
    before, after = (str(at(manifest, "metadata").get("name")) for manifest in (old, new))
    if before != after:
        return [
            f"'{after}' is ANOTHER RayService: a second cluster with all of its GPUs, beside "
            f"'{before}' until somebody deletes that. Keep the name in the settings, if it is not "
            "meant."
        ]
    if cluster_hash.change(old, new) == "suspended":
        return ["The RayService is suspended: KubeRay deletes its cluster, until `suspend` goes."]
    found = [*_of_cluster(old, new), *_unplaced(old, new), *_of_service(old, new)]
    return [*found, *_of_blend(old, new)]


def _of_cluster(old: Document, new: Document) -> Iterator[str]:
    kind = cluster_hash.cluster_change(old, new)
    found = _changed(old, new)
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


def _unplaced(old: Document, new: Document) -> Iterator[str]:
    """What the new Serve config, which is taken over, asks of the old groups, which stay."""
    if cluster_hash.cluster_change(old, new) != "ignored":
        return
    stays = {**new, "spec": {**new["spec"], "rayClusterConfig": old["spec"]["rayClusterConfig"]}}
    for problem in placement.problems(stays, serve_config(new)):
        yield f"On the cluster that stays, REPLICAS WAIT FOR EVER: {problem}."


def _changed(old: Document, new: Document) -> list[Difference]:
    """What differs between two clusters, the order of groups that are in both included."""
    before, after = (_by_name(at(m, "spec", "rayClusterConfig")) for m in (old, new))
    orders = [list(cluster["workerGroupSpecs"]) for cluster in (before, after)]
    both = set(orders[0]) & set(orders[1])
    kept = ([name for name in order if name in both] for order in orders)
    return [
        *differences(before, after),
        *differences(next(kept), next(kept), ("order of the groups",)),
    ]


def _of_service(old: Document, new: Document) -> Iterator[str]:
    before, after = (
        {k: v for k, v in at(m, "spec").items() if k not in ("rayClusterConfig", "serveConfigV2")}
        | {k: v for k, v in at(m, "metadata").items() if k in ("annotations", "labels")}
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


def _by_name(value: Any) -> Any:
    """Lists of things with names as mappings, so that what differs between them is small."""
    if isinstance(value, list):
        names = [
            item.get("groupName", item.get("name")) for item in value if isinstance(item, dict)
        ]
        if len(names) == len(value) and None not in names and value:
            return dict(zip(names, map(_by_name, value), strict=True))
        return value
    return {k: _by_name(v) for k, v in value.items()} if isinstance(value, dict) else value


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
