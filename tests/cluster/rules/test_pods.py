"""What Kubernetes takes in the pods of a RayService although it cannot go well."""

import pytest

from cluster.manifests import CLUSTER, Document
from cluster.rules import pods, service
from tests.cluster.manifest import (
    Spoil,
    cluster,
    container,
    head,
    pod,
    spoilt,
    spoilt_serve,
    workers,
)
from tests.cluster.rules.mistakes import HEAD, POD, Row, autoscaler


def worker_variable(name: str, value: str) -> Spoil:
    return lambda m: container(workers(m))["env"].append({"name": name, "value": value})


PODS: list[Row] = [
    (
        lambda m: container(workers(m)).pop("readinessProbe"),
        f"{POD}.containers[0].readinessProbe.failureThreshold",
        "as the operator's own probe does; write 3",
    ),
    (
        lambda m: pod(workers(m)).update(terminationGracePeriodSeconds=60),
        f"{POD}.terminationGracePeriodSeconds",
        "60 is below the 900 s",
    ),
    (
        lambda m: pod(workers(m)).pop("terminationGracePeriodSeconds"),
        f"{POD}.terminationGracePeriodSeconds",
        "30 is below",
    ),
    (
        lambda m: container(workers(m))["resources"].update(
            requests={"nvidia.com/gpu": "2", "cpu": "8", "memory": "32Gi"}
        ),
        f"{POD}.containers[0].resources.requests['nvidia.com/gpu']",
        "2 is not the limit, 1",
    ),
    (
        lambda m: container(head(m))["resources"]["limits"].update({"nvidia.com/gpu": "1"}),
        f"{HEAD}.template.spec.containers[0].resources.limits",
        "1 GPUs on the head serve no replica",
    ),
    (
        lambda m: head(m)["rayStartParams"].pop("num-cpus"),
        f"{HEAD}.rayStartParams.num-cpus",
        "is None; write '0'",
    ),
    (
        lambda m: container(head(m))["resources"]["limits"].update(memory="4Gi"),
        f"{HEAD}.template.spec.containers[0].resources.limits.memory",
        "4Gi is too little for the head",
    ),
    (
        lambda m: container(workers(m))["resources"]["limits"].update({"ephemeral-storage": "9GB"}),
        f"{POD}.containers[0].resources.limits['ephemeral-storage']",
        "'9GB' is no quantity; write 2, 500m or 8Gi",
    ),
    (
        lambda m: container(workers(m)).update(image="registry.example.org:5000/blended:latest"),
        f"{POD}.containers[0].image",
        "name a version or a digest",
    ),
    (
        lambda m: container(workers(m)).update(image="registry.example.org:5000/blended"),
        f"{POD}.containers[0].image",
        "may be another image tomorrow",
    ),
    (
        worker_variable("HF_TOKEN", "hf_abc"),
        f"{POD}.containers[0].env['HF_TOKEN']",
        "'HF_TOKEN' can be read here by anybody; write valueFrom",
    ),
    (
        worker_variable("BLENDED_JOURNAL_URL", "postgresql://user:word@db/blended"),
        f"{POD}.containers[0].env['BLENDED_JOURNAL_URL']",
        "can be read here by anybody",
    ),
    (
        autoscaler(env=[{"name": "CLOUD_SECRET", "value": "x"}]),
        f"{CLUSTER}.autoscalerOptions.env['CLOUD_SECRET']",
        "can be read here by anybody",
    ),
    (
        lambda m: cluster(m).update(gcsFaultToleranceOptions={"redisPassword": {"value": "x"}}),
        f"{CLUSTER}.gcsFaultToleranceOptions.redisPassword.value",
        "can be read here by anybody",
    ),
]


@pytest.mark.parametrize(("spoil", "path", "words"), PODS)
def test_a_mistake_is_named_where_it_is(spoil: Spoil, path: str, words: str) -> None:
    """One mistake gives one problem, with its place, the value and the remedy."""
    found = service.problems(spoilt(spoil))

    assert [problem.path for problem in found] == [path]
    assert words in found[0].message


def test_what_is_no_quantity_counts_as_nothing() -> None:
    """The head has no memory then, which is said as well."""
    path = f"{HEAD}.template.spec.containers[0].resources.limits"

    found = service.problems(
        spoilt(lambda m: container(head(m))["resources"]["limits"].update(memory="much"))
    )

    assert {problem.path for problem in found} == {f"{path}['memory']", f"{path}.memory"}


@pytest.mark.parametrize(
    "image",
    ["example/blended@sha256:0123", "example.org:5000/blended:1.2", "blended:1@sha256:01"],
)
def test_an_image_that_stays_the_same_is_taken(image: str) -> None:
    """By its digest, or by a version."""
    assert service.problems(spoilt(lambda m: container(workers(m)).update(image=image))) == []


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_TOKENS", "5"), ("HF_TOKEN", ""), ("HF_TOKEN", "$(SHARED_TOKEN)")]
)
def test_what_is_no_secret_may_be_written(name: str, value: str) -> None:
    """Numbers, nothing, and references to other variables."""
    assert service.problems(spoilt(worker_variable(name, value))) == []


def test_a_secret_in_the_serve_config_is_seen() -> None:
    """An engine's environment is as public as the manifest."""

    def spoil(serve: Document) -> None:
        serve["applications"][0]["args"]["engine"]["env"] = {"HF_TOKEN": "hf_abc"}

    (problem,) = service.problems(spoilt_serve(spoil))

    assert problem.path == "spec.serveConfigV2.applications[0].args.engine.env.HF_TOKEN"


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        ({"maxUnavailable": 1}, "spec.maxUnavailable", "blocks every drain; write minAvailable"),
        ({"minAvailable": "50%"}, "spec.minAvailable", "'50%' is no whole number"),
        ({}, "spec.minAvailable", "None is no whole number"),
        (
            {"minAvailable": 1, "selector": {"matchLabels": {"ray.io/cluster": "pair-x7k2p"}}},
            "spec.selector",
            "another random text with every cluster",
        ),
        (
            {
                "minAvailable": 1,
                "selector": {"matchExpressions": [{"key": "ray.io/cluster", "operator": "Exists"}]},
            },
            "spec.selector",
            "select by labels of the group",
        ),
    ],
)
def test_a_budget_that_guards_nothing_is_named(spec: Document, path: str, words: str) -> None:
    """PodDisruptionBudgets of a RayCluster have rules of their own."""
    (problem,) = pods.budget_problems({"kind": "PodDisruptionBudget", "spec": spec})

    assert problem.path == path
    assert words in problem.message


def test_a_good_budget_has_no_problems() -> None:
    """A whole number, and a label of the group."""
    selector = {"matchLabels": {"blended/small": "true"}}

    assert pods.budget_problems({"spec": {"minAvailable": 1, "selector": selector}}) == []
