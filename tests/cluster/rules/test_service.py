"""The operator's rules, and what Kubernetes takes although it cannot go well."""

from typing import Any

import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr as derived,
)

from cluster.manifests import CLUSTER, Document
from cluster.rules import pods, service
from tests.cluster.manifest import (
    Spoil,
    cluster,
    container,
    head,
    pod,
    rayservice,
    spoilt,
    spoilt_serve,
    workers,
)

HEAD = f"{CLUSTER}.headGroupSpec"
GROUP = f"{CLUSTER}.workerGroupSpecs[1]"
POD = f"{GROUP}.template.spec"
UPGRADE = "spec.upgradeStrategy"

# What is spoilt, where the mistake is found, and some words of the sentence.
Row = tuple[Spoil, str, str]


def incremental(**options: Any) -> Spoil:
    good = {"stepSizePercent": 10, "intervalSeconds": 10, "gatewayClassName": "envoy"}
    strategy = {
        "type": "NewClusterWithIncrementalUpgrade",
        "clusterUpgradeOptions": good | options,
    }
    return lambda m: m["spec"].update(upgradeStrategy=strategy)


def head_variable(name: str, value: str = "1") -> Spoil:
    return lambda m: container(head(m))["env"].append({"name": name, "value": value})


def worker_variable(name: str, value: str) -> Spoil:
    return lambda m: container(workers(m))["env"].append({"name": name, "value": value})


def autoscaler(**options: Any) -> Spoil:
    return lambda m: cluster(m)["autoscalerOptions"].update(options)


def without_v2(**fields: Any) -> Spoil:
    def spoil(manifest: Document) -> None:
        cluster(manifest)["autoscalerOptions"]["version"] = "v1"
        for group in cluster(manifest)["workerGroupSpecs"]:
            group.pop("idleTimeoutSeconds")
        workers(manifest).update(fields)

    return spoil


SERVICE: list[Row] = [
    (lambda m: m["metadata"].update(name="Pair"), "metadata.name", "'Pair' is no DNS label"),
    (lambda m: m["metadata"].update(name="1pair"), "metadata.name", "a letter first"),
    (lambda m: m["metadata"].update(name="p" * 48), "metadata.name", "48 characters; use at most"),
    (
        lambda m: m["metadata"]["annotations"].clear(),
        f"metadata.annotations['{service.TIMEOUT}']",
        "is not set, so that a service that cannot start never says so",
    ),
    (
        lambda m: m["metadata"]["annotations"].update({service.TIMEOUT: "90 min"}),
        f"metadata.annotations['{service.TIMEOUT}']",
        "'90 min' is no time; write 90m",
    ),
    (
        lambda m: m["metadata"]["annotations"].update({service.TIMEOUT: "0s"}),
        f"metadata.annotations['{service.TIMEOUT}']",
        "above 0",
    ),
    (lambda m: m["spec"].pop("upgradeStrategy"), f"{UPGRADE}.type", "needs every GPU twice"),
    (
        lambda m: m["spec"].update(upgradeStrategy={"type": "Rolling"}),
        f"{UPGRADE}.type",
        "'Rolling' is unknown to the operator; write None or NewCluster or",
    ),
    (
        incremental(maxSurgePercent=120),
        f"{UPGRADE}.clusterUpgradeOptions.maxSurgePercent",
        "120 is no percentage",
    ),
    (
        incremental(maxSurgePercent=5),
        f"{UPGRADE}.clusterUpgradeOptions.stepSizePercent",
        "10 is not between 0 and maxSurgePercent, 5",
    ),
    (
        incremental(intervalSeconds=0),
        f"{UPGRADE}.clusterUpgradeOptions.intervalSeconds",
        "0 is not above 0",
    ),
    (
        incremental(gatewayClassName=""),
        f"{UPGRADE}.clusterUpgradeOptions.gatewayClassName",
        "is not set",
    ),
    (
        lambda m: m["spec"].update(rayClusterDeletionDelaySeconds=-1),
        "spec.rayClusterDeletionDelaySeconds",
        "-1 is negative",
    ),
    (
        lambda m: m["spec"].update(deletionStrategy={}),
        "spec.deletionStrategy",
        "is for a RayJob only",
    ),
    (
        lambda m: m["spec"].update(serveConfigV2="a: 1\na: 2"),
        "spec.serveConfigV2",
        "stands here tw",
    ),
    (lambda m: m["spec"].pop("serveConfigV2"), "spec.serveConfigV2", "holds 0 documents"),
]

RAY_CLUSTER: list[Row] = [
    (lambda m: cluster(m).pop("rayVersion"), f"{CLUSTER}.rayVersion", "None is no version"),
    (lambda m: cluster(m).update(networkPolicy={}), f"{CLUSTER}.networkPolicy", "feature gate Ray"),
    (lambda m: cluster(m).update(tlsOptions={}), f"{CLUSTER}.tlsOptions", "RayClusterMTLS"),
    (
        lambda m: cluster(m).update(historyServerOptions={}),
        f"{CLUSTER}.historyServerOptions",
        "RayClusterHistoryServer",
    ),
    (
        lambda m: cluster(m).update(upgradeStrategy={"type": "None"}),
        f"{CLUSTER}.upgradeStrategy",
        "write it under spec",
    ),
    (
        lambda m: cluster(m).update(authOptions={}),
        f"{CLUSTER}.authOptions.mode",
        "leaves Ray's dashboard open",
    ),
    (
        lambda m: cluster(m)["authOptions"].update(enableK8sTokenAuth=True),
        f"{CLUSTER}.authOptions.enableK8sTokenAuth",
        "refused for a RayService",
    ),
    (
        lambda m: cluster(m).update(rayVersion="2.51.0"),
        f"{CLUSTER}.authOptions.mode",
        "needs Ray 2.52, and rayVersion is '2.51.0'",
    ),
    (without_v2(), f"{CLUSTER}.autoscalerOptions.version", "is 'v1'; write v2"),
    (
        autoscaler(idleTimeoutSeconds=-5),
        f"{CLUSTER}.autoscalerOptions.idleTimeoutSeconds",
        "-5 is negative",
    ),
    (
        autoscaler(env=[{"name": "KUBERAY_GEN_AUTOSCALER_START_CMD", "value": "x"}]),
        f"{CLUSTER}.autoscalerOptions.env",
        "the operator's own variable",
    ),
    (
        head_variable("RAY_enable_autoscaler_v2"),
        f"{HEAD}.template.spec.containers[0].env",
        "contradicts the manifest",
    ),
    (
        head_variable("RAY_REDIS_ADDRESS", "redis:6379"),
        f"{HEAD}.template.spec.containers[0].env",
        f"write it in {CLUSTER}.gcsFaultToleranceOptions",
    ),
    (
        lambda m: head(m)["rayStartParams"].update({"redis-password": "$REDIS_PASSWORD"}),
        f"{HEAD}.rayStartParams.redis-password",
        "is refused here",
    ),
    (
        lambda m: m["metadata"]["annotations"].update({"ray.io/ft-enabled": "true"}),
        "metadata.annotations['ray.io/ft-enabled']",
        "has replaced",
    ),
    (
        lambda m: cluster(m).update(gcsFaultToleranceOptions={"backend": "rocksdb"}),
        f"{CLUSTER}.gcsFaultToleranceOptions.backend",
        "GCSFaultToleranceEmbeddedStorage",
    ),
    (
        lambda m: cluster(m).update(gcsFaultToleranceOptions={"storage": {"size": "1Gi"}}),
        f"{CLUSTER}.gcsFaultToleranceOptions.storage",
        "for the backend 'rocksdb' only",
    ),
]

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


def test_the_good_manifest_has_no_problems() -> None:
    """Nothing is wrong with what all other tests spoil."""
    assert service.problems(rayservice()) == []


@pytest.mark.parametrize(("spoil", "path", "words"), SERVICE + RAY_CLUSTER + GROUPS + PODS)
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


def test_an_incremental_upgrade_needs_the_autoscaler() -> None:
    """The two clusters grow and shrink by it."""
    manifest = spoilt(incremental())
    cluster(manifest)["enableInTreeAutoscaling"] = False

    (problem,) = service.problems(manifest)

    assert problem.path == f"{CLUSTER}.enableInTreeAutoscaling"


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


def test_a_serve_config_that_ray_refuses_is_named() -> None:
    """In one go with everything else; who fits where is not asked then."""

    def spoil(serve: Document) -> None:
        serve["applications"][0]["deployments"][0]["max_ongoing_requests"] = "many"

    (problem,) = service.problems(spoilt_serve(spoil))

    path = "spec.serveConfigV2.applications[0].deployments[0].max_ongoing_requests"
    assert problem.path == path


def test_all_mistakes_are_reported_together() -> None:
    """The operator stops at the first."""

    def spoil(manifest: Document) -> None:
        manifest["metadata"]["name"] = "Pair"
        cluster(manifest)["authOptions"] = {}
        workers(manifest)["minReplicas"] = 9
        container(head(manifest))["image"] = ""

    assert len(service.problems(spoilt(spoil))) == 4


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
