"""The rendered RayService: what Ray, KubeRay and Kubernetes make of it."""

from typing import Any

import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)

from blended.config import BlendConfig, loading
from blended.launch.environment import SERVE_ENV
from cluster.manifests import Document, environment, groups, quantity, serve_config
from cluster.rayservice import manifests
from cluster.rules.cluster_hash import cluster_hash
from cluster.rules.placement import matches
from cluster.rules.replica_needs import needs
from cluster.settings import Settings

GIB = 2**30
BLEND: dict[str, Any] = {
    "name": "trio",
    "components": [
        {
            "id": "small",
            "kind": "vllm",
            "parameters": 8e9,
            "engine": {"model": "e/small", "accelerator": "L40S", "cpus": 4},
            "replicas": {"min": 2, "max": 3, "graceful_shutdown_timeout_s": 1200},
        },
        {
            "id": "large",
            "kind": "vllm",
            "engine": {"model": "e/large", "accelerator": "H100", "tensor_parallel_size": 2},
        },
        {"id": "toy", "kind": "simulated", "replicas": {"min": 1, "max": 2}},
        {
            "id": "elsewhere",
            "kind": "remote",
            "base_url": "https://api.example.com/v1",
            "model": "big",
            "api_key_env": "EXAMPLE_KEY",
        },
    ],
}
SETTINGS: dict[str, Any] = {
    "components": {"small": {"gpus": 6}},
    "accelerators": {"H100": {"node_selector": {"pool": "h100"}, "tolerations": [{"key": "h100"}]}},
    "idle_timeout_s": 120,
}


def rendered(blend: Document = BLEND, settings: Document = SETTINGS) -> Document:
    service, _ = manifests(BlendConfig.model_validate(blend), Settings.model_validate(settings))
    return service


def derived(service: Document) -> dict[str, Any]:
    """The node types that Ray's own code for KubeRay reads from the manifest."""
    cluster = service["spec"]["rayClusterConfig"]
    metadata = {"name": "trio", "namespace": "default"}
    config = _derive_autoscaling_config_from_ray_cr({"metadata": metadata, "spec": cluster})
    found: dict[str, Any] = config["available_node_types"]
    return found


def node_type(cpus: int, memory: int, most: int, labels: Document, **resources: float) -> Document:
    return {
        "min_workers": 0,
        "max_workers": most,
        "labels": labels,
        "resources": {"CPU": cpus, "memory": memory * GIB, **resources},
        "idle_timeout_s": 120.0,
    }


def test_ray_derives_the_node_types_that_are_meant() -> None:
    """Resources, labels, bounds and idle times of each group, and nothing more."""
    types = derived(rendered())
    kept = ("min_workers", "max_workers", "labels", "resources", "idle_timeout_s")

    assert {name: {k: v for k, v in t.items() if k in kept} for name, t in types.items()} == {
        "headgroup": {
            "min_workers": 0,
            "max_workers": 0,
            "labels": {},
            "resources": {"CPU": 0, "memory": 8 * GIB},
        },
        "router": node_type(2, 4, 9, {"blended/router": "true"}),
        "small": node_type(
            5, 40, 6, {"blended/small": "true"}, GPU=1, **{"accelerator_type:L40S": 1}
        ),
        "large": node_type(
            3, 64, 1, {"blended/large": "true"}, GPU=2, **{"accelerator_type:H100": 1}
        ),
        "toy": node_type(1, 2, 3, {"blended/toy": "true"}),
    }


def changed(**fields: Any) -> Document:
    """The blend with other fields; those of `small` under its name."""
    small = BLEND["components"][0] | fields.pop("small", {})
    return {**BLEND, "components": [small, *BLEND["components"][1:]], **fields}


@pytest.mark.parametrize(
    "blend",
    [
        changed(small={"replicas": {"min": 1, "max": 6, "graceful_shutdown_timeout_s": 1200}}),
        changed(selection={"weights": {"small": 3, "large": 1, "toy": 0, "elsewhere": 1}}),
        changed(small={"sampling": {"temperature": 0.2}}),
        changed(api={"reveal_component": True}),
    ],
    ids=["replicas", "weights", "sampling", "api"],
)
def test_what_is_tuned_leaves_the_cluster_alone(blend: Document) -> None:
    """KubeRay's hash of the cluster stays, and so do the pods."""
    old, new = rendered(), rendered(blend)

    assert serve_config(old) != serve_config(new)
    assert cluster_hash(old["spec"]["rayClusterConfig"]) == cluster_hash(
        new["spec"]["rayClusterConfig"]
    )
    assert old["spec"]["rayClusterConfig"] == new["spec"]["rayClusterConfig"]


def test_every_deployment_finds_one_group() -> None:
    """Engines, what picks their replicas, the simulated and the router: each by its labels."""
    service = rendered()
    workers = [group for group in groups(service) if not group.head]
    found = {
        (need.path.split(".deployments")[0][-2], need.name): [
            group.name for group in workers if matches(group, need.selectors)
        ]
        for need in needs(serve_config(service))
    }

    assert found == {
        ("0", "LLMServer:small"): ["small"],
        ("0", "LLMRouter"): ["router"],
        ("1", "LLMServer:large"): ["large"],
        ("1", "LLMRouter"): ["router"],
        ("2", "Simulated"): ["toy"],
        ("3", "Router"): ["router"],
    }


def test_routers_are_two_and_apart() -> None:
    """Two at least, one on each node, on nodes of their own, and so are who picks replicas."""
    apps = {app["name"]: app["deployments"] for app in serve_config(rendered())["applications"]}
    (router,), (_, picker) = apps["blended"], apps["component-small"]

    assert router["autoscaling_config"]["min_replicas"] == picker["num_replicas"] == 2
    assert router["max_replicas_per_node"] == picker["max_replicas_per_node"] == 1


def test_pods_outlive_the_longest_response() -> None:
    """HAProxy, a node's drain and Kubernetes wait as long as the slowest replica may, or longer."""
    for group in groups(rendered()):
        variables = environment(group.ray_container)
        assert variables["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"]["value"] == "1200"
        drain = variables["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]["value"]
        assert drain == ("0" if group.head else "1200")
        assert group.pod_spec["terminationGracePeriodSeconds"] == 1230


def test_every_node_has_what_serve_starts_with() -> None:
    """Head and workers alike, and the internal key from the secret."""
    for group in groups(rendered()):
        variables = environment(group.ray_container)
        plain = {name: v["value"] for name, v in variables.items() if "value" in v}
        expected = SERVE_ENV | {"RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "1200"}
        assert plain.items() >= expected.items()
        assert variables["VLLM_API_KEY"]["valueFrom"] == {
            "secretKeyRef": {"name": "blended-keys", "key": "internal-key"}
        }


def test_secrets_reach_only_those_who_need_them() -> None:
    """The clients' key, the journal's and remote keys: routers; the token for weights: engines."""
    by_group = {group.name: environment(group.ray_container) for group in groups(rendered())}
    routers = {"BLENDED_API_KEY", "BLENDED_JOURNAL_SECRET", "BLENDED_JOURNAL_URL", "EXAMPLE_KEY"}
    of_routers = {name for name, found in by_group.items() if routers & found.keys()}
    with_token = {name for name, found in by_group.items() if "HF_TOKEN" in found}

    assert by_group["router"].keys() >= routers
    assert of_routers == {"router"}
    assert with_token == {"small", "large"}


def test_gpus_are_asked_for_where_they_are() -> None:
    """By NVIDIA's label, or the settings'; with their taints ignored; nowhere else."""
    by_name = {group.name: group for group in groups(rendered())}

    assert by_name["small"].pod_spec["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L40S"}
    assert by_name["small"].pod_spec["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists"}
    ]
    assert by_name["large"].pod_spec["nodeSelector"] == {"pool": "h100"}
    assert by_name["large"].pod_spec["tolerations"] == [{"key": "h100", "operator": "Exists"}]
    for name in ("head", "router", "toy"):
        limits = by_name[name].ray_container["resources"]["limits"]
        assert "nvidia.com/gpu" not in limits
        assert "nodeSelector" not in by_name[name].pod_spec


def test_settings_move_a_component_to_other_gpus() -> None:
    """Its engine, its group and the router's account of it agree."""
    settings = SETTINGS | {"components": {"small": {"accelerator": "A100-80G"}}}
    service = rendered(settings=settings)
    app = serve_config(service)["applications"][0]
    small = next(group for group in groups(service) if group.name == "small")

    assert app["args"]["engine"]["accelerator"] == "A100-80G"
    assert small.spec["resources"] == {"accelerator_type:A100-80G": "1"}
    assert small.pod_spec["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}


def most_pods(settings: Document) -> dict[str, int]:
    """The budget of each worker group."""
    service = rendered(settings=settings)
    return {g.name: g.spec["maxReplicas"] for g in groups(service) if not g.head}


def test_a_pod_that_drains_can_be_replaced() -> None:
    """A spare pod in every group without GPUs; with GPUs as many as the settings say."""
    assert most_pods({}) == {"router": 9, "small": 3, "large": 1, "toy": 3}
    spare = {"router": {"spare": 0}, "components": {"large": {"spare": 2}, "small": {"gpus": 5}}}
    assert most_pods(spare) == {"router": 8, "small": 5, "large": 3, "toy": 3}


def test_the_order_of_the_file_never_moves_the_cluster() -> None:
    """Another order is another cluster to KubeRay, of groups as of variables and volumes."""
    far = {**BLEND["components"][3], "id": "far", "api_key_env": "ANOTHER_KEY"}
    blend = BLEND | {"components": [*BLEND["components"], far]}
    first = rendered(blend)["spec"]["rayClusterConfig"]
    turned = BlendConfig.model_validate(blend | {"components": blend["components"][::-1]})
    settings = Settings.model_validate(SETTINGS)
    service, _ = manifests(turned, settings, first["workerGroupSpecs"])

    assert cluster_hash(service["spec"]["rayClusterConfig"]) == cluster_hash(first)


def test_budgets_guard_whoever_has_company() -> None:
    """The head, because nothing replaces it, and groups of several; one alone may be moved."""
    blend, settings = BlendConfig.model_validate(BLEND), Settings.model_validate(SETTINGS)
    _, budgets = manifests(blend, settings)
    least = {b["metadata"]["name"]: b["spec"]["minAvailable"] for b in budgets}

    assert least == {"trio-head": 1, "trio-router": 1, "trio-small": 1}


@pytest.mark.parametrize("preset", loading.presets())
def test_presets_can_be_rendered(preset: str) -> None:
    """With settings of the default, weights fit into the memory that their pods ask for."""
    blend = loading.load(preset)
    service, _ = manifests(blend, Settings())
    memory = {
        group.name: quantity(group.ray_container["resources"]["limits"]["memory"])
        for group in groups(service)
    }

    for component in blend.components:
        if component.parameters is not None:
            group = blend.hardware[component.id].replica_group or component.id
            assert memory[group] > 2 * component.parameters + 20 * GIB


def test_a_reward_model_has_a_group_of_its_own() -> None:
    """An engine on its accelerator, or a process on a CPU; only its own pods hold it."""
    engine = {"kind": "vllm", "parameters": 6e8, "engine": {"model": "e/rm", "accelerator": "L4"}}
    for reward, gpus in ((engine, "1"), ({"kind": "local", "model": "/m/reward.npz"}, None)):
        service = rendered({**BLEND, "reward": reward})
        group = next(g for g in groups(service) if g.name == "reward")
        [container] = group.spec["template"]["spec"]["containers"]
        assert container["resources"]["limits"].get("nvidia.com/gpu") == gpus
        labels = {"blended/reward": "true"}
        assert labels.items() <= group.spec["labels"].items()
        [need] = [n for n in needs(serve_config(service)) if n.name.endswith(("reward", "Model"))]
        assert all(labels.items() <= selector.items() for selector in need.selectors)


def test_a_reward_models_pods_have_settings() -> None:
    """Under its name, like those of a component."""
    reward = {"kind": "local", "model": "/m/reward.npz"}
    settings = {**SETTINGS, "components": {"reward": {"memory": "3Gi"}}}
    service = rendered({**BLEND, "reward": reward}, settings)
    group = next(g for g in groups(service) if g.name == "reward")

    [container] = group.spec["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "3Gi"
