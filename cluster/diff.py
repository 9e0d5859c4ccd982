"""The effects of a changed manifest on a running cluster: python -m cluster.diff OLD NEW

By KubeRay's real rules each change takes effect at once, restarts a component, starts a second
cluster (all GPUs twice until it has taken over), or is ignored. OLD is the manifest that was
applied last. KubeRay compares NEW with the running RayCluster, which lacks earlier ignored edits:
give it by `--live FILE` (`kubectl get raycluster -o yaml`). OLD may then be left out. `--picture
FILE.svg` draws the blend with what restarts marked, and needs OLD.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from blended.errors import BlendedError, ConfigError
from blended.launch.changes import Change, changes
from blended.launch.json_diff import Difference, shown
from cluster import rayservice_fields
from cluster.live import raycluster
from cluster.manifests import Document, at, load_file, of_kind, serve_config
from cluster.pictures import edit_picture
from cluster.rayservice_edit import Edit
from cluster.rules import placement
from cluster.rules.cluster_hash import CAPS, MUTED, Kind, upgrade_type

_ASSUMED = (
    "Assumed: the running cluster is as OLD says. It is not if KubeRay has ignored an earlier "
    "edit; --live tells."
)
_CLUSTER_ALONE = "Only the cluster is compared; give OLD to hear of the blend and the Service."
_SECOND = (
    "A SECOND CLUSTER starts beside the running one, with all of its GPUs, and takes over when it "
    "is ready: {what}."
)
_IN_PLACE = "The running cluster takes it over: {what}."
_PATCH = (
    "KubeRay ignores it while this cluster lives: {what}. Patch the RayCluster as well; replicas "
    "within these bounds are changed in serveConfigV2."
)
_MUTED = (
    "KubeRay leaves it out of every comparison, under any upgrade strategy: {what}. Patch the "
    "RayCluster as well, or delete it."
)
_IGNORED = (
    "KubeRay ignores it while this cluster lives, and every group that is added after it: {what}. "
    "Delete the RayCluster, or set spec.upgradeStrategy.type, to have it."
)
_BEFORE = "Since an earlier edit "
_OPERATOR = (
    "An upgrade of the operator applies what is pending, to pods that start later: beside old ones."
)
_HAS = "The running cluster has it already: {what}."
_BACK = "What KubeRay has ignored before is taken back: {what}."
_HELD_UP = (
    "The running cluster would have added the new group without the edits that were ignored before."
)


def sentences(edit: Edit) -> list[str]:
    """Every change that an edit makes, in the order of their weight.

    Raises:
        ConfigError: a Serve config is no YAML, or none of a blend.
    """
    old = edit.old
    if whole := [*_another(old or edit.new, edit.new), *_suspension(old, edit.new)]:
        return whole
    if old is None:
        return [*_of_cluster(edit), *_unplaced(edit)]
    return [
        *_of_strategy(old, edit),
        *_of_cluster(edit),
        *_unplaced(edit),
        *rayservice_fields.sentences(old, edit.new, edit.kind),
        *_of_blend(old, edit.new, edit.kind),
    ]


def _another(old: Document, new: Document) -> Iterator[str]:
    for field in ("name", "namespace"):
        before, after = (at(manifest, "metadata", field) for manifest in (old, new))
        if before and after and before != after:
            yield (
                f"'{after}' is ANOTHER RayService (its {field}): a second cluster with all of its "
                f"GPUs, beside the one of '{before}' until it is deleted. Keep the {field}, "
                "unless this is intended."
            )


def _suspension(old: Document | None, new: Document) -> Iterator[str]:
    before, after = (bool(at(m or {}, "spec").get("suspend")) for m in (old, new))
    if before:
        goes = (
            "stays suspended, and the next cluster is" if after else "goes on: its cluster is made"
        )
        yield f"The RayService {goes} as NEW says, with no regard to the one before."
    elif after:
        yield "The RayService is suspended: KubeRay deletes its cluster, until `suspend` goes."


def _of_strategy(old: Document, edit: Edit) -> Iterator[str]:
    before, after = upgrade_type(old), upgrade_type(edit.new)
    if before == after:
        return
    if before == "None" and edit.live is None:
        yield (
            f"The upgrade strategy leaves None ({after}): if KubeRay has ignored an earlier edit, "
            "A SECOND CLUSTER starts with it now. --live tells."
        )
    elif before == "None" and edit.kind == "second cluster" and edit.pending():
        yield f"The upgrade strategy leaves None ({after}), which applies what was ignored."
    else:
        yield f"The upgrade strategy changes ({before} → {after}), from now on."


def _of_cluster(edit: Edit) -> Iterator[str]:
    kind, lacking, pending = edit.kind, edit.lacking(), edit.pending()
    paths = {path for path, _, _ in lacking}
    gone = [d for d in pending if d[0] not in paths]
    # Bounds and tolerations come by a patch of the RayCluster as well.
    if patched := [(path, after, before) for path, before, after in gone if _is_patched(path)]:
        yield _HAS.format(what=shown(patched))
    if back := [d for d in gone if not _is_patched(d[0])]:
        yield _BACK.format(what=shown(back))
    first = [d for d in lacking if d in pending]
    fresh = [d for d in lacking if d not in pending]
    if kind == "ignored":
        yield from (f"{_BEFORE}{sentence}" for sentence in _ignored(first))
        if first:
            yield _OPERATOR
        yield from _ignored(fresh)
        if edit.held_up:
            yield _HELD_UP
    elif kind != "same":
        sentence = _SECOND if kind == "second cluster" else _IN_PLACE
        earlier = [f"{shown(first)} (asked for before)"] if first else []
        yield sentence.format(what=", ".join([*earlier, *([shown(fresh)] if fresh else [])]))


def _is_patched(path: tuple[str, ...]) -> bool:
    return path[-1] in CAPS or bool({*MUTED, "suspend"} & set(path))


def _ignored(found: list[Difference]) -> Iterator[str]:
    caps = [d for d in found if d[0][-1] in CAPS]
    muted = [d for d in found if d not in caps and _is_patched(d[0])]
    others = [d for d in found if d not in (*caps, *muted)]
    for sentence, what in ((_PATCH, caps), (_MUTED, muted), (_IGNORED, others)):
        if what:
            yield sentence.format(what=shown(what))


def _unplaced(edit: Edit) -> Iterator[str]:
    """Replicas of the new Serve config (it takes effect) that do not fit the unchanged groups."""
    if edit.kind != "ignored":
        return
    stays = {**edit.new, "spec": {**edit.new["spec"], "rayClusterConfig": edit.running}}
    for problem in placement.problems(stays, serve_config(edit.new)):
        yield f"On the cluster that stays, REPLICAS WAIT FOR EVER: {problem}."


def changes_of_blend(old: Document, new: Document) -> tuple[Change, ...]:
    """The changes of the Serve config between two RayServices.

    Raises:
        ConfigError: one has no Serve config of a blend.
    """
    configs = [serve_config(manifest) for manifest in (old, new)]
    try:
        running, wanted = ({app["name"]: app for app in c["applications"]} for c in configs)
        return changes(running, wanted)
    except (AttributeError, KeyError, IndexError, TypeError) as exc:
        raise ConfigError(
            f"A serveConfigV2 is not one of a blend (it lacks {exc}); render it with Blended."
        ) from exc


def _of_blend(old: Document, new: Document, kind: Kind) -> Iterator[str]:
    found = changes_of_blend(old, new)
    if found and kind == "second cluster":
        yield "Until then the running cluster keeps its Serve config; the second one begins with:"
    yield from (change.sentence for change in found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; returns the exit status: 2 for unreadable files."""
    parser = argparse.ArgumentParser(prog="python -m cluster.diff", description=__doc__)
    parser.add_argument("manifests", type=Path, nargs="+", metavar="OLD NEW")
    parser.add_argument("--live", type=Path, help="the RayCluster that runs; OLD may be left out")
    parser.add_argument("--json", action="store_true", help="one JSON document, for programs")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw what changes")
    options = parser.parse_args(arguments)
    if len(options.manifests) not in ((2,) if options.live is None else (1, 2)):
        parser.error("give OLD and NEW, or --live FILE with NEW")
    if options.picture and len(options.manifests) == 1:
        parser.error("a picture shows the blend before and after: give OLD and NEW")
    if options.picture and options.picture.suffix != ".svg":
        parser.error(f"'{options.picture}' is no SVG file; end its name in .svg")
    try:
        edit = _read(options.manifests, options.live)
        found = sentences(edit)
        if options.picture:
            options.picture.write_text(_picture(edit, found))
    except (BlendedError, OSError) as exc:
        print(exc, file=sys.stderr)
        return 2
    assumed = _ASSUMED if edit.live is None else _CLUSTER_ALONE if edit.old is None else None
    if options.json:
        print(json.dumps({"cluster": edit.kind, "changes": found, "assumed": assumed}))
        return 0
    print("\n".join(found or ["Nothing changes."]))
    if assumed:
        print(assumed)
    return 0


def _picture(edit: Edit, found: Sequence[str]) -> str:
    changed = changes_of_blend(edit.old or {}, edit.new)
    of_blend = {change.sentence for change in changed}
    of_cluster = [sentence for sentence in found if sentence not in of_blend]
    return edit_picture.picture(edit, changed, of_cluster)


def _read(manifests: Sequence[Path], live_file: Path | None) -> Edit:
    *olds, new = (_rayservice(path) for path in manifests)
    name = str(at(olds[0] if olds else new, "metadata").get("name"))
    live = None if live_file is None else raycluster.load(live_file, name)
    return Edit(new, olds[0] if olds else None, live)


def _rayservice(path: Path) -> Document:
    found = of_kind(load_file(path), "RayService")
    if len(found) != 1:
        raise ConfigError(f"'{path}' holds {len(found)} RayServices; give a file with one.")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
