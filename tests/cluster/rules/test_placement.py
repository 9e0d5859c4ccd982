"""Where the replicas of a Serve config may run, and whether they fit there."""

from typing import Any

import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr as derived,
)

from cluster.manifests import CLUSTER, SERVE, Document, groups
from cluster.rules import service
from cluster.rules.placement import capacity, matches
from cluster.rules.replica_needs import needs
from tests.cluster.manifest import (
    Spoil,
    cluster,
    container,
    rayservice,
    serve,
    spoilt,
    spoilt_serve,
    workers,
)

SMALL = f"{SERVE}.applications[0].deployments[0]"
LARGE = f"{SERVE}.applications[1].deployments[0]"
ROUTER = f"{SERVE}.applications[2].deployments[0]"


def deployment(serve: Document, index: int) -> Any:
    return serve["applications"][index]["deployments"][0]


def engine(serve: Document, index: int) -> Any:
    return serve["applications"][index]["args"]["engine"]


def ray_types(manifest: Document) -> Any:
    cr = {"metadata": {"name": "pair", "namespace": "here"}, "spec": cluster(manifest)}
    return derived(cr)["available_node_types"]


@pytest.mark.parametrize(
    ("spoil", "path", "words"),
    [
        (
            lambda s: engine(s, 0).update(replica_group="smal"),
            SMALL,
            "no group has the labels of 'LLMServer:small', blended/smal=true, so that it waits",
        ),
        (
            lambda s: engine(s, 0).update(replica_group=None),
            SMALL,
            "may run in several groups (router, small, large) by its labels, none",
        ),
        (
            lambda s: deployment(s, 2)["ray_actor_options"].pop("label_selector"),
            ROUTER,
            "'Router' may run in several groups",
        ),
        (
            lambda s: s["applications"][2].pop("deployments"),
            f"{SERVE}.applications[2]",
            "'Router' may run in several groups",
        ),
        (
            lambda s: deployment(s, 2)["ray_actor_options"].update(
                label_selector={"blended/router": "!true"}
            ),
            ROUTER,
            "may run in several groups (small, large)",
        ),
        (
            lambda s: engine(s, 1).update(tensor_parallel_size=4),
            LARGE,
            "a replica of 'LLMServer:large' takes 4 GPUs of one pod, and one of 'large' has 2",
        ),
        (
            lambda s: engine(s, 0).update(cpus=7.5),
            SMALL,
            "takes 8.5 CPUs of one pod, and one of 'small' has 8",
        ),
        (
            lambda s: deployment(s, 2)["ray_actor_options"].update(num_cpus=9),
            ROUTER,
            "takes 9 CPUs of one pod",
        ),
        (
            lambda s: deployment(s, 0)["autoscaling_config"].update(max_replicas=5),
            f"{CLUSTER}.workerGroupSpecs[1].maxReplicas",
            "3 is too few for all replicas (5 of 'LLMServer:small'), which take 5",
        ),
        (
            lambda s: deployment(s, 2)["autoscaling_config"].update(max_replicas=17),
            f"{CLUSTER}.workerGroupSpecs[0].maxReplicas",
            "2 is too few for all replicas (17 of 'Router'), which take 3",
        ),
        (
            lambda s: deployment(s, 2).update(max_replicas_per_node=1),
            f"{CLUSTER}.workerGroupSpecs[0].maxReplicas",
            "(4 of 'Router'), which take 4",
        ),
        (lambda s: s.update(proxy_location="HeadOnly"), f"{SERVE}.proxy_location", "EveryNode"),
        (
            lambda s: engine(s, 0).update(accelerator="H100"),
            f"{CLUSTER}.workerGroupSpecs[1].resources['accelerator_type:H100']",
            "without which no pod is ever added for 'LLMServer:small'; write '1'",
        ),
    ],
)
def test_a_deployment_that_does_not_fit_is_named(spoil: Spoil, path: str, words: str) -> None:
    """Ray itself says nothing and waits for a node that never comes."""
    found = service.problems(spoilt_serve(spoil))

    assert [problem.path for problem in found] == [path]
    assert words in found[0].message


def test_a_label_of_two_groups_is_ambiguous() -> None:
    """The replicas would land on either, whatever their GPUs."""
    manifest = spoilt(lambda m: workers(m, 2)["labels"].update({"blended/small": "true"}))

    (problem,) = service.problems(manifest)

    assert problem.path == SMALL
    assert "several groups (small, large)" in problem.message


def test_groups_may_be_shared() -> None:
    """Two components on one group have their replicas added up."""

    def share(manifest: Document) -> None:
        workers(manifest, 2)["labels"]["blended/small"] = "true"
        workers(manifest, 1)["labels"].pop("blended/small")

    (problem,) = service.problems(spoilt(share))

    assert problem.path == f"{CLUSTER}.workerGroupSpecs[2].maxReplicas"
    assert "(3 of 'LLMServer:small', 2 of 'LLMServer:large'), which take 4" in problem.message


def test_a_replica_does_not_use_the_rest_of_a_pod() -> None:
    """Three GPUs hold one replica of two: seven GPUs in all would be no help."""

    def enlarge(manifest: Document) -> None:
        resources = container(workers(manifest, 2))["resources"]
        resources["limits"]["nvidia.com/gpu"] = resources["requests"]["nvidia.com/gpu"] = "3"
        workers(manifest, 2)["maxReplicas"] = 1

    (problem,) = service.problems(spoilt(enlarge))

    assert "1 is too few for all replicas (2 of 'LLMServer:large'), which take 2" in problem.message


def test_a_replica_over_several_pods_counts_pods() -> None:
    """Bundles that are not packed need only fit one by one; hosts of a group add up."""

    def spread(serve: Document) -> None:
        deployment(serve, 1).update(
            placement_group_bundles=[{"CPU": 1, "GPU": 2}] * 2,
            placement_group_bundle_label_selector=[{"blended/large": "true"}],
            placement_group_strategy="SPREAD",
        )

    manifest = spoilt_serve(spread)
    (problem,) = service.problems(manifest)
    workers(manifest, 2)["numOfHosts"] = 2

    assert "(2 of 'LLMServer:large'), which take 4" in problem.message
    assert service.problems(manifest) == []


def test_fixed_and_automatic_numbers_of_replicas_count() -> None:
    """`num_replicas` where there is no autoscaling_config; `auto` is Ray Serve's 100."""
    config = serve()
    deployment(config, 0).pop("autoscaling_config")
    deployment(config, 0)["num_replicas"] = 7
    deployment(config, 1).pop("autoscaling_config")
    deployment(config, 1)["num_replicas"] = "auto"

    assert [need.replicas for need in needs(config)] == [7, 100, 4]


def test_a_component_needs_what_ray_asks_for() -> None:
    """As ray.serve.llm merges it: the replica's actor in the first bundle, and the kind of GPU."""
    (need,) = (need for need in needs(serve()) if need.name == "LLMServer:large")

    assert need.packed
    assert need.bundles == [
        {"CPU": 2, "GPU": 1, "accelerator_type:L40S": 0.001},
        {"CPU": 1, "GPU": 1, "accelerator_type:L40S": 0.001},
    ]


def test_an_actor_asks_for_its_kind_of_gpu() -> None:
    """The autoscaler has to know the group by it."""
    config = serve()
    deployment(config, 2)["ray_actor_options"]["accelerator_type"] = "L4"

    assert needs(config)[2].bundles == [{"CPU": 1, "GPU": 0, "accelerator_type:L4": 0.001}]


def test_an_engine_that_cannot_be_read_is_left_to_the_other_check() -> None:
    """`cluster.rules.serve_keys` says what is wrong with it."""
    config = serve()
    engine(config, 0).pop("model")

    assert [need.name for need in needs(config)] == ["LLMServer:large", "Router"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("true", ["small"]),
        ("!true", ["router", "large"]),
        ("in(true, maybe)", ["small"]),
        ("!in(true, maybe)", ["router", "large"]),
    ],
)
def test_selectors_are_read_as_ray_reads_them(condition: str, expected: list[str]) -> None:
    """Equal, not equal, one of several, none of several."""
    workers = [group for group in groups(rayservice()) if not group.head]

    found = [g.name for g in workers if matches(g, [{"blended/small": condition}])]

    assert found == expected


def test_pods_hold_what_rays_autoscaler_believes() -> None:
    """Ray's own reading of the manifest gives the same CPUs, GPUs and labels."""
    manifest = spoilt(lambda m: container(workers(m, 0))["resources"]["limits"].update(cpu="7500m"))
    types = ray_types(manifest)

    for group in groups(manifest)[1:]:
        resources = types[group.name]["resources"]
        assert capacity(group) == {"CPU": resources["CPU"], "GPU": resources.get("GPU", 0)}
        assert types[group.name]["labels"] == group.spec["labels"]


def test_ray_accepts_the_good_manifest() -> None:
    """Least and most pods, kinds of GPU and times of the groups reach the autoscaler."""
    small = ray_types(rayservice())["small"]

    assert (small["min_workers"], small["max_workers"], small["idle_timeout_s"]) == (1, 3, 300)
    assert small["resources"]["accelerator_type:L40S"] == 1
