"""The operator's rules for a RayService and its Ray cluster, and what they take in vain."""

from typing import Any

import pytest

from cluster.manifests import CLUSTER, Document
from cluster.rules import service
from tests.cluster.manifest import (
    Spoil,
    cluster,
    container,
    head,
    rayservice,
    spoilt,
    spoilt_serve,
    workers,
)
from tests.cluster.rules.mistakes import HEAD, Row, autoscaler, without_v2

UPGRADE = "spec.upgradeStrategy"


def incremental(**options: Any) -> Spoil:
    good = {"stepSizePercent": 10, "intervalSeconds": 10, "gatewayClassName": "envoy"}
    strategy = {
        "type": "NewClusterWithIncrementalUpgrade",
        "clusterUpgradeOptions": good | options,
    }
    return lambda m: m["spec"].update(upgradeStrategy=strategy)


def head_variable(name: str, value: str = "1") -> Spoil:
    return lambda m: container(head(m))["env"].append({"name": name, "value": value})


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


def test_the_good_manifest_has_no_problems() -> None:
    """Nothing is wrong with what all other tests spoil."""
    assert service.problems(rayservice()) == []


@pytest.mark.parametrize(("spoil", "path", "words"), SERVICE + RAY_CLUSTER)
def test_a_mistake_is_named_where_it_is(spoil: Spoil, path: str, words: str) -> None:
    """One mistake gives one problem, with its place, the value and the remedy."""
    found = service.problems(spoilt(spoil))

    assert [problem.path for problem in found] == [path]
    assert words in found[0].message


def test_an_incremental_upgrade_needs_the_autoscaler() -> None:
    """The two clusters grow and shrink by it."""
    manifest = spoilt(incremental())
    cluster(manifest)["enableInTreeAutoscaling"] = False

    (problem,) = service.problems(manifest)

    assert problem.path == f"{CLUSTER}.enableInTreeAutoscaling"


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
