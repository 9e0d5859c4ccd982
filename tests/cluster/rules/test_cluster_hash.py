"""Which changes of a RayService take a second cluster, and which nobody notices."""

from typing import Any

import pytest

from cluster.manifests import Document
from cluster.rules.cluster_hash import Kind, change, cluster_hash
from tests.cluster.manifest import (
    Spoil,
    cluster,
    container,
    head,
    pod,
    rayservice,
    spoilt,
    workers,
)


def add_group(manifest: Document) -> None:
    new = rayservice()
    workers(new)["groupName"] = "third"
    cluster(manifest)["workerGroupSpecs"].append(workers(new))


def replace_image(manifest: Document) -> None:
    container(workers(manifest))["image"] = "registry.example.org/blended:1.0.0"


def both(*changes: Spoil) -> Spoil:
    return lambda manifest: [spoil(manifest) for spoil in changes]


def typed(upgrade: str | None, manifest: Document) -> Document:
    manifest["spec"]["upgradeStrategy"] = {} if upgrade is None else {"type": upgrade}
    return manifest


# What an edit does with the types None and NewCluster.
EDITS: list[tuple[str, Spoil, Kind, Kind]] = [
    ("nothing", lambda m: None, "same", "same"),
    ("group at the end", add_group, "in place", "in place"),
    (
        "group at the end, and another's bounds",
        both(add_group, lambda m: workers(m).update(maxReplicas=9)),
        "in place",
        "in place",
    ),
    (
        "groups in another order",
        lambda m: cluster(m)["workerGroupSpecs"].reverse(),
        "ignored",
        "second cluster",
    ),
    (
        "group at the front",
        lambda m: cluster(m)["workerGroupSpecs"].insert(0, {"groupName": "first"}),
        "ignored",
        "second cluster",
    ),
    (
        "group gone",
        lambda m: cluster(m)["workerGroupSpecs"].pop(),
        "ignored",
        "second cluster",
    ),
    ("image", replace_image, "ignored", "second cluster"),
    (
        "variable",
        lambda m: container(head(m))["env"].append({"name": "A", "value": "1"}),
        "ignored",
        "second cluster",
    ),
    (
        "idle timeout",
        lambda m: cluster(m)["autoscalerOptions"].update(idleTimeoutSeconds=60),
        "ignored",
        "second cluster",
    ),
    ("label", lambda m: workers(m)["labels"].update(a="b"), "ignored", "second cluster"),
    ("bounds", lambda m: workers(m).update(minReplicas=0, maxReplicas=9), "ignored", "ignored"),
    ("replicas", lambda m: workers(m).update(replicas=2), "ignored", "ignored"),
    (
        "tolerations",
        lambda m: pod(workers(m)).update(tolerations=[{"operator": "Exists"}]),
        "ignored",
        "ignored",
    ),
    ("what is no cluster's", lambda m: m["spec"].update(suspend=True), "same", "same"),
]


@pytest.mark.parametrize(
    ("edit", "without", "beside"), [row[1:] for row in EDITS], ids=[row[0] for row in EDITS]
)
def test_an_edit_does_what_the_operator_does(edit: Spoil, without: Kind, beside: Kind) -> None:
    """As it was seen with the operator, where a second cluster is allowed and where it is not."""
    for upgrade, expected in ("None", without), ("NewCluster", beside), (None, beside):
        old, new = typed(upgrade, rayservice()), typed(upgrade, spoilt(edit))

        assert change(cluster(old), new) == expected


def test_the_new_manifest_says_how_to_upgrade() -> None:
    """Type and image may be changed at once."""
    running = cluster(rayservice())

    assert change(running, typed("NewCluster", spoilt(replace_image))) == "second cluster"
    assert change(running, typed("NewCluster", rayservice())) == "same"


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: workers(m).update(replicas=5, minReplicas=5, maxReplicas=5),
        lambda m: workers(m).update(scaleStrategy={"workersToDelete": ["pair-small-x7k2p"]}),
        lambda m: pod(head(m)).update(tolerations=[{"key": "a"}], schedulingGates=[{"name": "b"}]),
        lambda m: pod(workers(m)).update(tolerations=[], schedulingGates=[{"name": "b"}]),
        lambda m: cluster(m).update(suspend=True, upgradeStrategy={"type": "None"}),
        lambda m: workers(m).update(numOfHosts=1, priority=0),
        lambda m: workers(m)["template"].update(metadata={"labels": {}}),
        lambda m: pod(workers(m)).update(initContainers=[], nodeSelector=None),
        lambda m: container(head(m))["ports"][0].update(protocol="TCP"),
        lambda m: container(workers(m))["resources"]["limits"].update(cpu="8000m"),
        lambda m: container(workers(m))["resources"]["limits"].update(cpu=8, memory="32768Mi"),
        lambda m: pod(workers(m))["volumes"][0]["emptyDir"].update(sizeLimit="1024Mi"),
    ],
)
def test_what_the_operator_leaves_out_does_not_change_the_hash(edit: Spoil) -> None:
    """Numbers of replicas, what Kueue writes, and other ways to write the same."""
    manifest = spoilt(edit)

    assert cluster_hash(cluster(manifest)) == cluster_hash(cluster(rayservice()))


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: workers(m).update(numOfHosts=2),
        lambda m: workers(m).update(suspend=True),
        lambda m: workers(m).update(priority=1),
        lambda m: workers(m)["labels"].update(a=""),
        lambda m: pod(workers(m)).update(securityContext={}),
        lambda m: pod(workers(m)).update(nodeSelector={"a": "b"}),
        lambda m: container(workers(m))["env"].reverse(),
        lambda m: container(workers(m))["resources"]["limits"].update(cpu="9"),
        lambda m: container(workers(m))["resources"]["limits"].update(memory="34359738368"),
        lambda m: container(workers(m))["resources"]["limits"].update(memory="a lot"),
    ],
)
def test_everything_else_changes_the_hash(edit: Spoil) -> None:
    """An empty object is something, an order is, and so is the unit of a quantity."""
    manifest = spoilt(edit)

    assert cluster_hash(cluster(manifest)) != cluster_hash(cluster(rayservice()))


def test_the_hash_leaves_the_manifest_alone() -> None:
    """What it takes out is taken out of a copy."""
    manifest: Any = spoilt(lambda m: workers(m).update(scaleStrategy={"workersToDelete": ["a"]}))

    cluster_hash(cluster(manifest))

    assert workers(manifest)["scaleStrategy"] == {"workersToDelete": ["a"]}
