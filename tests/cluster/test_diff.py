"""What a change of a manifest does, in sentences."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import check, diff
from cluster.manifests import Document
from cluster.rayservice_edit import Edit
from cluster.rules import crd
from tests.cluster.edits import live
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


def said(old: Document, new: Document) -> list[str]:
    """The sentences of an edit of a cluster that nobody has looked at."""
    return diff.sentences(Edit(new, old))


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
    [sentence] = said(rayservice(), spoilt_serve(spoil))

    assert sentence.startswith(expected)


def image(manifest: Any) -> None:
    container(workers(manifest, 1))["image"] = "registry.example.org/blended:0.9.1"


@pytest.mark.parametrize(
    ("upgrade", "expected"),
    [
        ("None", "KubeRay ignores it while this cluster lives"),
        ("NewCluster", "A SECOND CLUSTER starts beside the running one"),
    ],
)
def test_an_image_is_ignored_or_doubles_the_gpus(upgrade: str, expected: str) -> None:
    """As spec.upgradeStrategy.type says."""
    old, new = rayservice(), rayservice()
    strategy(old, upgrade)
    strategy(new, upgrade)
    image(new)
    [sentence] = said(old, new)

    assert sentence.startswith(expected)
    assert "workerGroupSpecs.small.template" in sentence


def test_replica_caps_are_ignored_and_the_remedy_said() -> None:
    """The live cluster keeps its own."""
    new = spoilt(lambda m: workers(m, 1).update(maxReplicas=9))
    [sentence] = said(rayservice(), new)

    assert "workerGroupSpecs.small.maxReplicas 3 → 9" in sentence
    assert "Patch the RayCluster as well" in sentence


def test_a_group_at_the_end_is_taken_over() -> None:
    """In the middle it is not: the order counts."""
    last = spoilt(lambda m: cluster(m)["workerGroupSpecs"].append(group(m, "new")))
    middle = spoilt(lambda m: cluster(m)["workerGroupSpecs"].insert(1, group(m, "new")))

    [sentence] = said(rayservice(), last)
    assert sentence.startswith("The running cluster takes it over: workerGroupSpecs.new")
    [sentence] = said(rayservice(), middle)
    assert not sentence.startswith("The running cluster")


def test_a_suspension_is_all_that_is_said() -> None:
    """Everything goes."""
    new = spoilt(lambda m: m["spec"].update(suspend=True))

    assert said(rayservice(), new) == [
        "The RayService is suspended: KubeRay deletes its cluster, until `suspend` goes."
    ]


def test_another_namespace_is_another_service() -> None:
    """Unless one of the manifests leaves it to kubectl."""
    here = spoilt(lambda m: m["metadata"].update(namespace="a"))
    there = spoilt(lambda m: m["metadata"].update(namespace="b"))

    [sentence] = said(here, there)
    assert sentence.startswith("'b' is ANOTHER RayService (its namespace): a second cluster")
    assert said(rayservice(), there) == []


def test_what_was_patched_into_the_cluster_is_no_edit_taken_back() -> None:
    """The RayCluster had the larger budget first."""
    larger = spoilt(lambda m: workers(m, 1).update(maxReplicas=9))

    assert diff.sentences(Edit(larger, rayservice(), live(larger))) == [
        "The running cluster has it already: workerGroupSpecs.small.maxReplicas 3 → 9."
    ]


def files(folder: Path, *documents: Document) -> list[str]:
    paths = [folder / f"{number}.yaml" for number in range(len(documents))]
    for path, document in zip(paths, documents, strict=True):
        path.write_text(yaml.safe_dump(document))
    return list(map(str, paths))


def test_files_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints a line for each change, or that there is none, and what it assumes."""
    same = files(tmp_path, rayservice(), rayservice())

    assert diff.main(same) == 0
    assert capsys.readouterr().out.splitlines()[0] == "Nothing changes."
    assert diff.main([same[0], str(tmp_path / "none.yaml")]) == 2


def test_what_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing, a binary file, and what is no manifest of a blend."""
    empty, binary = tmp_path / "empty.yaml", tmp_path / "binary.yaml"
    empty.write_text("")
    binary.write_bytes(b"\xff\xfe\x00")
    service, odd = files(
        tmp_path,
        rayservice(),
        spoilt(lambda m: m["spec"].update(serveConfigV2='{"applications": 5}')),
    )

    assert check.main([str(empty)]) == 2
    assert "The input has no manifest" in capsys.readouterr().err
    assert check.main([str(binary)]) == 2
    assert diff.main([odd, service]) == 2
    assert "is not one of a blend" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["1: a", "null: a", "true: a", "x: a\tb", "applications: 5", "a: [", ""]
)
def test_check_has_a_sentence_for_any_serve_config(text: str) -> None:
    """Keys that are no texts, tabs, and what is no YAML."""
    manifest = spoilt(lambda m: m["spec"].update(serveConfigV2=text))

    assert check.problems([manifest], crd.schema()) != []


def test_a_list_is_what_is_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As kubectl prints several objects."""
    wrong = spoilt(lambda m: m["spec"].update(upgradeStrategy={}))
    (path,) = files(tmp_path, listed(wrong))

    assert check.main([path]) == 1
    assert "RayService pair: spec.upgradeStrategy.type" in capsys.readouterr().out


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
    assert "1 document, no mistakes." in capsys.readouterr().out
    assert check.main(paths) == 1
    assert "PodDisruptionBudget small: spec.maxUnavailable" in capsys.readouterr().out


def listed(*clusters: Document) -> Document:
    """What kubectl prints of several."""
    return {"apiVersion": "v1", "kind": "List", "items": list(clusters)}


def test_the_live_cluster_tells_what_is_pending(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With OLD all is said; without it the cluster alone is compared, which is said too."""
    first, then = rayservice(), spoilt(image)
    running = listed(live(first), live(spoilt(lambda m: m["metadata"].update(name="other"))))
    old, new, cluster = files(tmp_path, then, then, running)

    assert diff.main([old, new, "--live", cluster]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Since an earlier edit KubeRay ignores it while this cluster lives")
    assert "Assumed" not in out
    assert diff.main([new, "--live", cluster]) == 0
    out = capsys.readouterr().out
    assert out.startswith("KubeRay ignores it while this cluster lives")
    assert out.endswith("give OLD to hear of the blend and the Service.\n")
    assert diff.main([old, new]) == 0
    assert (
        "Nothing changes.\nAssumed: the running cluster is as OLD says." in capsys.readouterr().out
    )


def test_programs_read_the_changes_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same sentences, what becomes of the cluster, and what is assumed."""
    old, new = files(tmp_path, rayservice(), spoilt(image))

    assert diff.main([old, new]) == 0
    *sentences, assumed = capsys.readouterr().out.splitlines()
    assert diff.main([old, new, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"cluster": "ignored", "changes": sentences, "assumed": assumed}


def test_a_live_file_without_the_cluster_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or with two of them, of which KubeRay compares with one."""
    running = live(rayservice())
    new, none, two = files(tmp_path, rayservice(), listed(), listed(running, running))

    assert diff.main([new, "--live", none]) == 2
    assert "holds no RayCluster of the RayService 'pair' (there are: none)" in (
        capsys.readouterr().err
    )
    assert diff.main([new, "--live", two]) == 2
    assert "holds 2 RayClusters of 'pair'" in capsys.readouterr().err


def test_one_manifest_alone_is_nothing_to_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usage is shown."""
    with pytest.raises(SystemExit, match="2"):
        diff.main(files(tmp_path, rayservice()))
    assert "give OLD and NEW, or --live FILE with NEW" in capsys.readouterr().err
