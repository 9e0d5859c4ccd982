"""What a change of a manifest does, in sentences."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import check, diff
from cluster.manifests import Document
from tests.cluster.manifest import (
    Spoil,
    cluster,
    container,
    rayservice,
    spoilt,
    spoilt_serve,
    workers,
)


def group(manifest: Document, name: str) -> dict[str, Any]:
    """Another worker group."""
    return {**workers(manifest, 1), "groupName": name}


def strategy(manifest: Document, name: str) -> None:
    manifest["spec"]["upgradeStrategy"] = {"type": name}


def weights(serve: Any) -> None:
    router = next(app for app in serve["applications"] if app["name"] == "blended")
    blend = router["deployments"][0]["user_config"]["blend"]
    blend["selection"]["weights"] = {"small": 3, "large": 1}


def replicas(serve: Any) -> None:
    serve["applications"][0]["deployments"][0]["autoscaling_config"]["max_replicas"] = 2


def engine(serve: Any) -> None:
    serve["applications"][0]["args"]["engine"]["max_model_len"] = 1024


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (weights, "Weights: small 50 % → 75 %, large 50 % → 25 %, at once."),
        (replicas, "The replicas of 'small' change (max_replicas 3 → 2), without a restart."),
        (engine, "The engine of 'small' changes (max_model_len 8192 → 1024): its replicas"),
    ],
)
def test_the_blend_changes_without_another_cluster(spoil: Spoil, expected: str) -> None:
    """Each change is said with what it takes."""
    [sentence] = diff.sentences(rayservice(), spoilt_serve(spoil))

    assert sentence.startswith(expected)


def image(manifest: Any) -> None:
    container(workers(manifest, 1))["image"] = "registry.example.org/blended:0.9.1"


@pytest.mark.parametrize(
    ("upgrade", "expected"),
    [
        ("None", "KubeRay ignores it while this cluster lives: "),
        ("NewCluster", "A SECOND CLUSTER starts beside the running one"),
    ],
)
def test_an_image_is_ignored_or_doubles_the_gpus(upgrade: str, expected: str) -> None:
    """As spec.upgradeStrategy.type says."""
    old, new = rayservice(), rayservice()
    strategy(old, upgrade)
    strategy(new, upgrade)
    image(new)
    [sentence] = diff.sentences(old, new)

    assert sentence.startswith(expected)
    assert "workerGroupSpecs.small.template" in sentence


def test_replica_caps_are_ignored_and_the_remedy_said() -> None:
    """The live cluster keeps its own."""
    new = spoilt(lambda m: workers(m, 1).update(maxReplicas=9))
    [sentence] = diff.sentences(rayservice(), new)

    assert "workerGroupSpecs.small.maxReplicas 3 → 9" in sentence
    assert "Patch the RayCluster as well" in sentence


def test_a_group_at_the_end_is_taken_over() -> None:
    """In the middle it is not: the order counts."""
    last = spoilt(lambda m: cluster(m)["workerGroupSpecs"].append(group(m, "new")))
    middle = spoilt(lambda m: cluster(m)["workerGroupSpecs"].insert(1, group(m, "new")))

    [sentence] = diff.sentences(rayservice(), last)
    assert sentence.startswith("The running cluster takes it over: workerGroupSpecs.new")
    [sentence] = diff.sentences(rayservice(), middle)
    assert not sentence.startswith("The running cluster")


def test_a_suspension_is_all_that_is_said() -> None:
    """Everything goes."""
    new = spoilt(lambda m: m["spec"].update(suspend=True))

    assert diff.sentences(rayservice(), new) == [
        "The RayService is suspended: KubeRay deletes its cluster, until `suspend` goes."
    ]


def files(folder: Path, *documents: Document) -> list[str]:
    paths = [folder / f"{number}.yaml" for number in range(len(documents))]
    for path, document in zip(paths, documents, strict=True):
        path.write_text(yaml.safe_dump(document))
    return list(map(str, paths))


def test_files_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints a line for each change, or that there is none."""
    same = files(tmp_path, rayservice(), rayservice())

    assert diff.main(same) == 0
    assert capsys.readouterr().out == "Nothing changes.\n"
    assert diff.main([same[0], str(tmp_path / "none.yaml")]) == 2


def test_files_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every mistake of every document, and how many there are."""
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "small"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"blended/small": "true"}}},
    }
    paths = files(tmp_path, rayservice(), budget)

    assert check.main(paths[:1]) == 0
    assert "1 documents, no mistakes." in capsys.readouterr().out
    assert check.main(paths) == 1
    assert "PodDisruptionBudget small: spec.maxUnavailable" in capsys.readouterr().out
