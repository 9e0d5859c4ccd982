"""Documents against the real CRDs where they are, and against the fields that this project uses."""

import copy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from cluster.manifests import CLUSTER, Document, groups
from cluster.manifests import pod as as_pod
from cluster.rules import crd
from tests.cluster.manifest import Spoil, cluster, head, pod, rayservice, spoilt, workers

GROUP = f"{CLUSTER}.workerGroupSpecs[1]"
KUBERNETES = "1.36"
REAL = crd.folder()
real = pytest.mark.skipif(REAL is None, reason=f"no CRDs in {crd.BESIDE} or ${crd.FOLDER_ENV}")

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


@pytest.fixture(params=["CRDs", "own fields"], scope="module")
def schema(request: pytest.FixtureRequest) -> crd.Schema:
    """Both schemas; what a test ran against is in its name, and in its output."""
    if request.param == "CRDs" and REAL is None:
        pytest.skip(f"no CRDs in {crd.BESIDE} or ${crd.FOLDER_ENV}")
    found = crd.schema(REAL if request.param == "CRDs" else None)
    print(f"validated against {found.source}")
    return found


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


@real
def test_equal_items_of_a_list_are_refused() -> None:
    """Two ports with one number are one to the API server."""
    ports = [{"name": name, "containerPort": 8000} for name in ("serve", "api")]
    manifest = spoilt(lambda m: pod(head(m))["containers"][0].update(ports=ports))

    (problem,) = crd.problems(manifest, crd.schema(REAL))

    assert problem.path == f"{CLUSTER}.headGroupSpec.template.spec.containers[0].ports[1]"
    assert "8000 TCP stands here twice" in problem.message


@real
@pytest.mark.parametrize("document", [GATEWAY, ROUTE], ids=lambda d: str(d["kind"]))
def test_kinds_of_the_gateway_api_are_known(document: Document) -> None:
    """What an incremental upgrade and an API for others are made with."""
    spoilt = copy.deepcopy(document)
    spoilt["spec"]["host"] = "example.org"

    assert crd.problems(document, crd.schema(REAL)) == []
    assert [problem.path for problem in crd.problems(spoilt, crd.schema(REAL))] == ["spec.host"]


def test_the_folder_is_found_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder that is not there is as good as none."""
    monkeypatch.setenv(crd.FOLDER_ENV, str(tmp_path))
    assert crd.folder() == tmp_path

    monkeypatch.setenv(crd.FOLDER_ENV, str(tmp_path / "nowhere"))
    assert crd.folder() is None


@pytest.mark.parametrize("group", groups(rayservice()), ids=lambda group: str(group.name))
def test_kubernetes_knows_every_field_of_a_pod(group: Any) -> None:
    """By Kubernetes' own schema, in which no unknown field passes."""
    kubernetes_validate.validate(as_pod(group), KUBERNETES, strict=True)


def test_an_unknown_field_of_a_pod_is_refused() -> None:
    """The strict schema is one."""
    manifest = spoilt(lambda m: pod(workers(m)).update(restartPolice="Never"))

    with pytest.raises(kubernetes_validate.ValidationError, match="restartPolice"):
        kubernetes_validate.validate(as_pod(groups(manifest)[2]), KUBERNETES, strict=True)
