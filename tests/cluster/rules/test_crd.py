"""Documents against what is known of the CRDs, and against a cluster's own."""

import copy
import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from cluster import check
from cluster.manifests import CLUSTER, Document, groups
from cluster.manifests import pod as as_pod
from cluster.rules import crd, crd_facts
from tests.cluster.manifest import Spoil, cluster, head, pod, rayservice, spoilt, workers

GROUP = f"{CLUSTER}.workerGroupSpecs[1]"
KUBERNETES = "1.36"

GATEWAY: Document = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "pair"},
    "spec": {
        "gatewayClassName": "envoy",
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
    },
}
ROUTE: Document = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "pair"},
    "spec": {
        "parentRefs": [{"name": "pair"}],
        "rules": [{"backendRefs": [{"name": "pair-serve-svc", "port": 8000}]}],
    },
}


@pytest.fixture(scope="module")
def schema() -> crd.Schema:
    """What is known of KubeRay and the Gateway API."""
    return crd.schema()


def test_the_good_manifest_has_no_problems(schema: crd.Schema) -> None:
    """Nothing is wrong with what all other tests spoil."""
    assert crd.problems(rayservice(), schema) == []


@pytest.mark.parametrize(
    ("spoil", "path", "words"),
    [
        (
            lambda m: m["spec"].update(rayClusterSpec={}),
            "spec.rayClusterSpec",
            "there is no field 'rayClusterSpec'; did you mean 'rayClusterConfig'?",
        ),
        (
            lambda m: m["spec"].update(serveConfig=""),
            "spec.serveConfig",
            "did you mean 'serveConfigV2'?",
        ),
        (
            lambda m: m["metadata"].update(annotation={}),
            "metadata.annotation",
            "did you mean 'annotations'?",
        ),
        (lambda m: workers(m).update(minReplica=1), f"{GROUP}.minReplica", "'minReplicas'?"),
        (
            lambda m: workers(m).update(maxReplicas="3"),
            f"{GROUP}.maxReplicas",
            "'3' is not of",
        ),
        (lambda m: workers(m).update(maxReplicas=2**31), f"{GROUP}.maxReplicas", "greater than"),
        (lambda m: workers(m).pop("groupName"), f"{GROUP}.groupName", "is required; write it"),
        (lambda m: workers(m)["labels"].update(fast=True), f"{GROUP}.labels.fast", "True is not"),
        (
            lambda m: head(m)["rayStartParams"].update({"num-cpus": 0}),
            f"{CLUSTER}.headGroupSpec.rayStartParams.num-cpus",
            "0 is not of type 'string'",
        ),
        (
            lambda m: cluster(m)["authOptions"].update(mode="tokens"),
            f"{CLUSTER}.authOptions.mode",
            "'tokens' is not one of",
        ),
        (
            lambda m: cluster(m)["autoscalerOptions"].update(version=2),
            f"{CLUSTER}.autoscalerOptions.version",
            "2 is not",
        ),
        (lambda m: m["spec"].update(serveConfigV2={}), "spec.serveConfigV2", "{} is not of type"),
        (lambda m: cluster(m).pop("headGroupSpec"), f"{CLUSTER}.headGroupSpec", "is required"),
        (
            lambda m: pod(workers(m)).pop("containers"),
            f"{GROUP}.template.spec.containers",
            "is required",
        ),
        (
            lambda m: pod(workers(m)).update(containers="ray"),
            f"{GROUP}.template.spec.containers",
            "'ray' is not of type 'array'",
        ),
        (lambda m: m.pop("spec"), "spec", "is required"),
    ],
)
def test_a_mistake_is_named_where_it_is(
    schema: crd.Schema, spoil: Spoil, path: str, words: str
) -> None:
    """Fields that do not exist, types, enumerations, bounds, and what is missing."""
    found = crd.problems(spoilt(spoil), schema)

    assert path in {problem.path for problem in found}
    assert any(words in problem.message for problem in found)


def test_all_mistakes_are_reported_together(schema: crd.Schema) -> None:
    """Several missing fields of one mapping, too, each once."""

    def spoil(manifest: Document) -> None:
        workers(manifest).pop("groupName")
        workers(manifest).pop("template")
        manifest["spec"]["wrong"] = 1

    assert len(crd.problems(spoilt(spoil), schema)) == 3


def test_what_has_a_default_may_be_left_out(schema: crd.Schema) -> None:
    """The API server adds it before it looks."""
    manifest = spoilt(lambda m: (workers(m).pop("maxReplicas"), workers(m).pop("minReplicas")))

    assert crd.problems(manifest, schema) == []


def test_a_kind_without_a_schema_is_named(schema: crd.Schema) -> None:
    """It is not taken to be right."""
    (problem,) = crd.problems({"apiVersion": "ray.io/v2", "kind": "RayService"}, schema)

    assert problem.path == "kind"
    assert "have no ray.io/v2 RayService; they have" in problem.message


def test_equal_items_of_a_list_are_refused() -> None:
    """Two ports with one number are one to the API server."""
    ports = [{"name": name, "containerPort": 8000} for name in ("serve", "api")]
    manifest = spoilt(lambda m: pod(head(m))["containers"][0].update(ports=ports))

    (problem,) = crd.problems(manifest, crd.schema())

    assert problem.path == f"{CLUSTER}.headGroupSpec.template.spec.containers[0].ports[1]"
    assert "8000 TCP stands here twice" in problem.message


@pytest.mark.parametrize("document", [GATEWAY, ROUTE], ids=lambda d: str(d["kind"]))
def test_kinds_of_the_gateway_api_are_known(document: Document) -> None:
    """What an incremental upgrade and an API for others are made with."""
    spoilt = copy.deepcopy(document)
    spoilt["spec"]["host"] = "example.org"

    assert crd.problems(document, crd.schema()) == []
    assert [problem.path for problem in crd.problems(spoilt, crd.schema())] == ["spec.host"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m["spec"].update(managedBy="ray.io/kuberay-operator"),
        lambda m: m["spec"].update(serviceUnhealthySecondThreshold=900),
        lambda m: head(m).update(enableIngress=False),
    ],
)
def test_fields_that_are_not_rendered_are_known(schema: crd.Schema, spoil: Spoil) -> None:
    """People may add whatever KubeRay has."""
    assert crd.problems(spoilt(spoil), schema) == []


@pytest.mark.parametrize(
    ("spoil", "closest"),
    [
        (lambda m: pod(workers(m)).update(nodeSelectr={"a": "b"}), "nodeSelector"),
        (
            lambda m: pod(head(m))["containers"][0].update(imagePullPolcy="Always"),
            "imagePullPolicy",
        ),
    ],
)
def test_a_slip_in_a_pod_is_named(schema: crd.Schema, spoil: Spoil, closest: str) -> None:
    """The API server would drop the field, and say so only to those who ask."""
    (problem,) = crd.problems(spoilt(spoil), schema)

    assert f"did you mean '{closest}'?" in problem.message


def own_crd(folder: Path) -> Path:
    """The CRD of a cluster whose RayServices have a field that nobody else has."""
    schema = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {"type": "object", "properties": {"ours": {"type": "integer"}}},
        },
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "spec": {
            "group": "ray.io",
            "names": {"kind": "RayService"},
            "versions": [{"name": "v1", "served": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    path = folder / "crd.yaml"
    path.write_text(yaml.safe_dump(definition))
    return path


def test_a_clusters_own_crd_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--crd` takes it as kubectl prints it."""
    theirs: Document = {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": "theirs"},
        "spec": {"ours": "many", "theirs": 1},
    }
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump(theirs))

    assert check.main([str(tmp_path / "theirs.yaml"), "--crd", str(own_crd(tmp_path))]) == 1
    printed = capsys.readouterr().out
    assert "spec.ours: 'many' is not of type 'integer'" in printed
    assert "spec.theirs: there is no field 'theirs'" in printed


def test_what_is_no_crd_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it is instead."""
    (tmp_path / "pair.yaml").write_text(yaml.safe_dump(rayservice()))
    pair = str(tmp_path / "pair.yaml")

    assert check.main([pair, "--crd", pair]) == 2
    assert "holds a RayService; give a file of CustomResource" in capsys.readouterr().err


def test_a_crd_that_is_cut_off_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is missing in it, and no stack trace."""
    (tmp_path / "pair.yaml").write_text(yaml.safe_dump(rayservice()))
    (tmp_path / "crd.yaml").write_text("kind: CustomResourceDefinition\nspec: {group: ray.io}\n")

    assert check.main([str(tmp_path / "pair.yaml"), "--crd", str(tmp_path / "crd.yaml")]) == 2
    assert "is no whole CustomResourceDefinition (KeyError('names'))" in capsys.readouterr().err


def test_facts_are_what_a_crd_says_without_prose(tmp_path: Path) -> None:
    """Packed and unpacked they are the same; a field may be called `description`."""
    pod = {
        "description": "Prose.",
        "type": "object",
        "properties": {
            "description": {"type": "string", "description": "More prose.", "maxLength": 9}
        },
    }
    schema = {"type": "object", "properties": {"one": pod, "other": pod}}
    found = crd_facts.facts(schema)
    packed = crd_facts.packed({"v1 Pair": found})

    described = {"type": "string", "maxLength": 9}
    assert found["properties"]["one"]["properties"] == {"description": described}
    assert crd_facts.unpacked(json.loads(json.dumps(packed))) == {"v1 Pair": found}
    assert len(packed["shared"]) == 1


@pytest.mark.parametrize("group", groups(rayservice()), ids=lambda group: str(group.name))
def test_kubernetes_knows_every_field_of_a_pod(group: Any) -> None:
    """By Kubernetes' own schema, in which no unknown field passes."""
    kubernetes_validate.validate(as_pod(group), KUBERNETES, strict=True)


def test_an_unknown_field_of_a_pod_is_refused() -> None:
    """The strict schema is one."""
    manifest = spoilt(lambda m: pod(workers(m)).update(restartPolice="Never"))

    with pytest.raises(kubernetes_validate.ValidationError, match="restartPolice"):
        kubernetes_validate.validate(as_pod(groups(manifest)[2]), KUBERNETES, strict=True)
