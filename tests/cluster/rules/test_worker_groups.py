"""KubeRay's rules for the groups of a RayService, the head's included."""

import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr as derived,
)

from cluster.manifests import CLUSTER, Document
from cluster.rules import service
from tests.cluster.manifest import Spoil, cluster, container, head, pod, spoilt, workers
from tests.cluster.rules.mistakes import GROUP, HEAD, POD, Row, without_v2

GROUPS: list[Row] = [
    (
        lambda m: workers(m).update(minReplicas=4),
        f"{GROUP}.maxReplicas",
        "3 is below minReplicas",
    ),
    (lambda m: workers(m).update(minReplicas=-1), f"{GROUP}.minReplicas", "-1 is negative"),
    (lambda m: workers(m).pop("maxReplicas"), f"{GROUP}.maxReplicas", "grow without bounds"),
    (lambda m: workers(m).update(suspend=True), f"{GROUP}.suspend", "cannot be suspended"),
    (lambda m: workers(m).update(groupName="headgroup"), f"{GROUP}.groupName", "name of the head"),
    (
        lambda m: workers(m).update(idleTimeoutSeconds=-1),
        f"{GROUP}.idleTimeoutSeconds",
        "-1 is negative",
    ),
    (
        lambda m: pod(workers(m)).update(restartPolicy="Always"),
        f"{POD}.restartPolicy",
        "'Always' is refused with the autoscaler's version v2; write Never",
    ),
    (
        lambda m: pod(head(m)).update(restartPolicy="OnFailure"),
        f"{HEAD}.template.spec.restartPolicy",
        "'OnFailure' is refused",
    ),
    (
        lambda m: workers(m)["labels"].update({"blended/a b": "true"}),
        f"{GROUP}.labels['blended/a b']",
        "is no key of a label",
    ),
    (
        lambda m: workers(m)["labels"].update({"Blended/a": "true"}),
        f"{GROUP}.labels['Blended/a']",
        "is no key of a label",
    ),
    (
        lambda m: workers(m)["labels"].update(tier="-fast"),
        f"{GROUP}.labels['tier']",
        "'-fast' is no value of a label",
    ),
    (
        lambda m: workers(m)["labels"].update({"ray.io/tier": "a"}),
        f"{GROUP}.labels['ray.io/tier']",
        "Ray's own; choose another prefix",
    ),
    (
        lambda m: workers(m)["rayStartParams"].update(labels="a=b"),
        f"{GROUP}.rayStartParams.labels",
        f"write it in {GROUP}.labels",
    ),
    (
        lambda m: workers(m)["rayStartParams"].update({"num-gpus": "1"}),
        f"{GROUP}.rayStartParams.num-gpus",
        f"is refused beside {GROUP}.resources",
    ),
    (
        lambda m: workers(m, 0)["rayStartParams"].update({"num-cpus": 8}),
        f"{CLUSTER}.workerGroupSpecs[0].rayStartParams.num-cpus",
        "8 is no text; write it in quotes",
    ),
    (
        lambda m: container(head(m)).update(ports=[{"name": "api", "containerPort": 8000}]),
        f"{HEAD}.template.spec.containers[0].ports",
        "no port is named 'serve'",
    ),
    (
        lambda m: container(workers(m)).update(
            ports=[{"name": "metrics-of-the-autoscaler", "containerPort": 44217}]
        ),
        f"{POD}.containers[0].ports[0].name",
        "is no name of a port; use at most 15",
    ),
]


@pytest.mark.parametrize(("spoil", "path", "words"), GROUPS)
def test_a_mistake_is_named_where_it_is(spoil: Spoil, path: str, words: str) -> None:
    """One mistake gives one problem, with its place, the value and the remedy."""
    found = service.problems(spoilt(spoil))

    assert [problem.path for problem in found] == [path]
    assert words in found[0].message


def test_fields_of_version_2_need_version_2() -> None:
    """Times and priorities of groups are refused where version 1 may run."""
    found = service.problems(spoilt(without_v2(idleTimeoutSeconds=60, priority=1)))

    assert [problem.path for problem in found] == [
        f"{CLUSTER}.autoscalerOptions.version",
        f"{GROUP}.idleTimeoutSeconds",
        f"{GROUP}.priority",
    ]


def test_a_priority_needs_a_ray_that_knows_it() -> None:
    """Ray learnt of it in 2.56."""
    manifest = spoilt(lambda m: workers(m).update(priority=1))
    cluster(manifest)["rayVersion"] = "2.55.1"

    (problem,) = service.problems(manifest)

    assert problem.path == f"{GROUP}.priority"
    assert "needs Ray 2.56, and rayVersion is '2.55.1'" in problem.message


def test_two_groups_cannot_have_one_name() -> None:
    """The autoscaler would know only the last of them."""
    found = service.problems(spoilt(lambda m: workers(m, 0).update(groupName="small")))

    assert {problem.path for problem in found} == {
        f"{CLUSTER}.workerGroupSpecs[0].groupName",
        f"{GROUP}.groupName",
    }


def test_a_group_without_containers_is_named() -> None:
    """Whatever else follows from it."""
    found = service.problems(spoilt(lambda m: pod(workers(m)).update(containers=[])))

    assert f"{POD}.containers" in {problem.path for problem in found}


def test_a_group_without_cpus_stops_the_autoscaler() -> None:
    """Ray's autoscaler raises for such a group, and with it for all others."""

    def spoil(manifest: Document) -> None:
        for kind in ("limits", "requests"):
            container(workers(manifest))["resources"][kind] = {"nvidia.com/gpu": "1"}

    manifest = spoilt(spoil)

    paths = {problem.path for problem in service.problems(manifest)}
    assert f"{POD}.containers[0].resources.limits.cpu" in paths
    with pytest.raises(ValueError, match="failed to detect `CPU`"):
        derived({"metadata": {"name": "x", "namespace": "y"}, "spec": cluster(manifest)})
