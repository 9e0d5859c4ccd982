"""What `cluster.check --live` finds missing in a cluster, by what kubectl says of it."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster import check
from cluster.manifests import at, groups, of_kind
from cluster.render import K8S
from tests.cluster.test_overlays import built

PROD = K8S / "overlays" / "prod"
SECRETS = {
    "blended/blended-keys": ["api-key", "internal-key", "journal-secret"],
    "blended/blended-ray-token": ["auth_token"],
    "blended/blended-redis": ["password"],
    "blended/blended-postgres": ["password"],
}

Cluster = dict[str, Any]


def crd(group: str, kind: str) -> Any:
    """A kind that the cluster knows."""
    return {"spec": {"group": group, "names": {"kind": kind}}}


def named(name: str, namespace: str | None = None, labels: Any = None, **fields: Any) -> Any:
    """An object."""
    place = {} if namespace is None else {"namespace": namespace}
    return {"metadata": {"name": name, **place, "labels": labels or {}}, **fields}


def nodes() -> list[Any]:
    """One for each group of the overlay, with what it selects by."""
    (service,) = of_kind(built(PROD), "RayService")
    return [
        named(
            f"node-{i}",
            labels=at(group.pod_spec, "nodeSelector"),
            status={"allocatable": {"cpu": "64", "nvidia.com/gpu": "8"}},
        )
        for i, group in enumerate(groups(service))
    ]


def operator(tag: str = "v1.7.0", namespace: str = "kuberay-system") -> Any:
    """KubeRay's, as its chart deploys it."""
    container = {"image": f"quay.io/kuberay/operator:{tag}"}
    spec = {"template": {"spec": {"containers": [container]}}}
    labels = {"app.kubernetes.io/name": "kuberay-operator"}
    return named("kuberay-operator", namespace, labels, kind="Deployment", spec=spec)


def storage(provisioner: str, default: str = "true") -> Any:
    """A class of storage."""
    found = named("standard", provisioner=provisioner)
    found["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": default}
    return found


def gateway(origin: str) -> Any:
    """The Gateway, whose listener takes routes of these namespaces."""
    listener = {"name": "https", "allowedRoutes": {"namespaces": {"from": origin}}}
    return named("blended", "gateways", spec={"listeners": [listener]})


def complete() -> Cluster:
    """A cluster that has all that production needs."""
    return {
        "forbidden": [],
        "secrets": SECRETS,
        "customresourcedefinitions": [
            crd("ray.io", "RayService"),
            crd("gateway.networking.k8s.io", "HTTPRoute"),
            crd("gateway.networking.k8s.io", "Gateway"),
            crd("monitoring.coreos.com", "PodMonitor"),
            crd("monitoring.coreos.com", "PrometheusRule"),
        ],
        "namespaces": [
            named("gateways", labels={"blended/client": "true"}),
            named("monitoring", labels={"blended/prometheus": "true"}),
        ],
        "deployments": [operator()],
        "gateways.gateway.networking.k8s.io": [gateway("All")],
        "storageclasses": [storage("nfs.csi.k8s.io")],
        "nodes": nodes(),
    }


@dataclass(frozen=True)
class Checked:
    """How `cluster.check --live` of the production overlay ended, and what it said."""

    status: int
    out: str
    err: str


Check = Callable[[Cluster], Checked]


@pytest.fixture
def checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Check:
    """Runs it with kubectl's stand-in first on the path."""
    manifests = tmp_path / "manifests.yaml"
    manifests.write_text("\n---\n".join(json.dumps(document) for document in built(PROD)))
    file = tmp_path / "cluster.json"
    monkeypatch.setenv("PATH", str(Path(__file__).parent), prepend=os.pathsep)
    monkeypatch.setenv("FAKE_CLUSTER", str(file))

    def check_live(cluster: Cluster) -> Checked:
        file.write_text(json.dumps(cluster))
        status = check.main(["--live", str(manifests)])
        return Checked(status, *capsys.readouterr())

    return check_live


def test_a_complete_cluster_lacks_nothing(checked: Check) -> None:
    """The namespace is one of the manifests themselves."""
    found = checked(complete())

    assert found.err == ""
    assert found.status == 0, found.out
    assert found.out.endswith("no mistakes.\n")


def without(kind: str) -> Callable[[Cluster], object]:
    """A cluster with no object of a kind."""
    return lambda cluster: cluster.update({kind: []})


LACKING: dict[str, tuple[Callable[[Cluster], object], str]] = {
    "kinds": (without("customresourcedefinitions"), "RayService modern: kind: there is no Ray"),
    "kinds of a component": (
        lambda c: c["customresourcedefinitions"].pop(),
        "PrometheusRule blended: kind: there is no PrometheusRule yet; install the Prometheus",
    ),
    "operator": (without("deployments"), "RayService modern: kind: there is no operator that acts"),
    "older operator": (
        lambda c: c.update(deployments=[operator("v1.6.2")]),
        "Deployment kuberay-operator: image: is 'quay.io/kuberay/operator:v1.6.2', and the rules",
    ),
    "operator elsewhere": (
        lambda c: c.update(deployments=[operator(namespace="ray")]),
        "NetworkPolicy blended: spec.ingress: does not admit 'ray', where the operator is",
    ),
    "secret": (
        lambda c: c.update(secrets={k: v for k, v in SECRETS.items() if "redis" not in k}),
        "Secret blended-redis: data.password: is not there in 'blended'",
    ),
    "entry of a secret": (
        lambda c: c.update(secrets=SECRETS | {"blended/blended-keys": ["api-key", "internal-key"]}),
        "Secret blended-keys: data.journal-secret: has no 'journal-secret' in 'blended'",
    ),
    "gateway": (
        without("gateways.gateway.networking.k8s.io"),
        "HTTPRoute blended: spec.parentRefs: there is no Gateway 'blended' in 'gateways'",
    ),
    "label of the gateway's namespace": (
        lambda c: c["namespaces"][0]["metadata"].update(labels={}),
        "`kubectl label namespace gateways blended/client=true`",
    ),
    "a Gateway that takes its own namespace's routes": (
        lambda c: c.update({"gateways.gateway.networking.k8s.io": [gateway("Same")]}),
        "the Gateway 'blended' takes routes of 'gateways' alone; write allowedRoutes there",
    ),
    "label of Prometheus' namespace": (
        lambda c: c["namespaces"].pop(),
        "`kubectl label namespace PROMETHEUS blended/prometheus=true`",
    ),
    "nodes": (without("nodes"), "there is no node; add one, unless an autoscaler does"),
    "storage": (
        without("storageclasses"),
        "PersistentVolumeClaim blended-models: spec.storageClassName: no class is the default",
    ),
    "storage that is no default": (
        lambda c: c.update(storageclasses=[storage("nfs.csi.k8s.io", "false")]),
        "no class is the default; name one that many nodes write",
    ),
    "storage of one node": (
        lambda c: c.update(storageclasses=[storage("ebs.csi.aws.com")]),
        "'ebs.csi.aws.com' has storage that one node writes at a time",
    ),
    "GPUs": (
        lambda c: [node["status"].update(allocatable={}) for node in c["nodes"]],
        "no node has nvidia.com/gpu.product=NVIDIA-L40S and 1 of nvidia.com/gpu; add one, unless",
    ),
    "nodes of a type": (
        lambda c: c.update(nodes=[n for n in c["nodes"] if not n["metadata"]["labels"]]),
        "no node has nvidia.com/gpu.product=NVIDIA-A100-SXM4-80GB",
    ),
    "a Service of its own": (
        lambda c: c.update(
            {
                "rayservices.ray.io": [
                    named(
                        "other",
                        "blended",
                        spec={"serveService": {"metadata": {"name": "modern-serve-svc"}}},
                    )
                ]
            }
        ),
        "RayService modern: spec.serveService.metadata.name: 'modern-serve-svc' is the Service of",
    ),
}


@pytest.mark.parametrize("what", LACKING)
def test_what_a_cluster_lacks_is_named(checked: Check, what: str) -> None:
    """Each with the object that needs it and what to do."""
    spoil, expected = LACKING[what]
    cluster = complete()
    spoil(cluster)
    found = checked(cluster)

    assert found.status == 1, found.err
    assert expected in found.out


@pytest.mark.parametrize("tag", ["v1.7.0", "1.7.3", "v1.7.0@sha256:0a8f"])
def test_any_image_of_the_version_will_do(checked: Check, tag: str) -> None:
    """A mirror's tags, and a digest behind it."""
    assert checked(complete() | {"deployments": [operator(tag)]}).status == 0


def test_a_blank_cluster_lacks_everything_at_once(checked: Check) -> None:
    """What cannot be asked for, since its kind is not there, is missing too."""
    blank: Cluster = {key: [] for key in complete()} | {"secrets": {}}
    out = checked(blank).out

    for missing in ("there is no RayService yet", "there is no operator", "there is no Gateway"):
        assert missing in out
    assert "Secret blended-keys: data.api-key: is not there" in out


def test_claims_that_have_their_volume_are_left_alone(checked: Check) -> None:
    """Whatever class there is now."""
    bound = named("blended-models", "blended", status={"phase": "Bound"})
    cluster = complete() | {"storageclasses": [], "persistentvolumeclaims": [bound]}

    assert checked(cluster).status == 0


def test_a_rayservice_is_no_rival_of_itself(checked: Check) -> None:
    """Nor is one of another namespace."""
    twins = [named("modern", "blended"), named("modern", "other")]

    assert checked(complete() | {"rayservices.ray.io": twins}).status == 0


def test_what_may_not_be_asked_is_said(checked: Check) -> None:
    """With kubectl's own words, and as something that could not be read."""
    found = checked(complete() | {"forbidden": ["nodes"]})

    assert found.status == 2
    assert found.err.startswith("`kubectl get nodes` failed: Error from server (Forbidden)")
