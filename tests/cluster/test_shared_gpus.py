"""Components that share GPUs on KubeRay: one worker group, its budget, plans and changes."""

from typing import Any

import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)

from blended.config import BlendConfig
from blended.config.loading import load
from blended.errors import ConfigError
from cluster import check, diff
from cluster.manifests import Document, groups, quantity, serve_config
from cluster.rayservice import manifests
from cluster.rayservice_edit import Edit
from cluster.rules import crd
from cluster.rules.placement import matches
from cluster.rules.replica_needs import needs
from cluster.settings import Settings

GIB = 2**30
SHARES = {"a": 0.3, "b": 0.3, "c": 0.4}


def blend(most: int = 1, least: int = 1, **more: Any) -> BlendConfig:
    """Three components on one card, `c` with fewer CPUs, and what `more` has for any of them."""
    components = [
        {
            "id": name,
            "kind": "vllm",
            "parameters": 8e9,
            "engine": {
                "model": f"e/{name}",
                "accelerator": "H100",
                "gpu_fraction": share,
                "replica_group": "card",
                "cpus": 2 if name == "c" else 4,
                **more.get(name, {}),
            },
            "replicas": {"min": least, "max": most},
        }
        for name, share in SHARES.items()
    ]
    return BlendConfig.model_validate({"name": "shared", "components": components})


def rendered(found: BlendConfig, settings: Document | None = None) -> tuple[Document, Document]:
    """The RayService, and the worker group of the card."""
    service, _ = manifests(found, Settings.model_validate(settings or {}))
    [card] = (group.spec for group in groups(service) if group.name == "card")
    return service, card


def limits(group: Document) -> Document:
    found: Document = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    return found


def test_components_that_share_a_card_have_one_group() -> None:
    """Its pods ask for whole GPUs; Ray's own code reads the node type that is meant."""
    service, card = rendered(blend())
    cluster = service["spec"]["rayClusterConfig"]
    metadata = {"name": "shared", "namespace": "default"}
    config = _derive_autoscaling_config_from_ray_cr({"metadata": metadata, "spec": cluster})
    types = config["available_node_types"]

    assert limits(card)["nvidia.com/gpu"] == "1"
    assert list(types) == ["headgroup", "router", "card"]
    assert types["card"]["max_workers"] == 1
    assert types["card"]["labels"] == {"blended/card": "true"}
    # Three replicas with five CPUs each, or two of them and one with three.
    assert types["card"]["resources"] == {
        "CPU": 15,
        "GPU": 1,
        "memory": 3 * 40 * GIB,
        "accelerator_type:H100": 1,
    }
    assert check.problems([service], crd.schema()) == []
    assert {
        need.name: [g.name for g in groups(service) if not g.head and matches(g, need.selectors)]
        for need in needs(serve_config(service))
    } == {
        **{f"LLMServer:{name}": ["card"] for name in SHARES},
        "LLMRouter": ["router"],
        "Router": ["router"],
    }


@pytest.mark.parametrize(
    ("most", "settings", "expected"),
    [
        (1, {}, 1),
        # Two of each fill two cards, and may leave gaps on them.
        (2, {}, 3),
        (1, {"groups": {"card": {"spare": 1}}}, 2),
        (2, {"groups": {"card": {"gpus": 5}}}, 5),
    ],
)
def test_the_budget_holds_all_replicas_in_any_order(
    most: int, settings: Document, expected: int
) -> None:
    """As many pods as the shares may need, or as many GPUs as the settings have."""
    _, card = rendered(blend(most), settings)

    assert card["maxReplicas"] == expected


def test_a_drain_may_not_empty_cards_that_are_certain() -> None:
    """Three replicas of each fill three cards at the least; a single card may be moved."""
    _, of_one = manifests(blend(), Settings())
    _, of_three = manifests(blend(most=3, least=3), Settings())
    names = [budget["metadata"]["name"] for budget in of_one]

    assert "shared-card" not in names
    [budget] = (b for b in of_three if b["metadata"]["name"] == "shared-card")
    assert budget["spec"]["minAvailable"] == 2


@pytest.mark.parametrize(
    ("found", "settings", "expected"),
    [
        (
            blend(),
            {"components": {"b": {"gpus": 2}}},
            "The settings have pods for component 'b', which shares those of the group 'card'; "
            "write them as groups: {card: …}.",
        ),
        (
            blend(),
            {"groups": {"cards": {"gpus": 2}}},
            "The settings have pods for the group cards, and no components share it; shared "
            "groups are card. The pods of a single component stand under components, by its id.",
        ),
        (
            blend(),
            {"groups": {"card": {"accelerator": "L4"}}},
            "components[0].engine.gpu_fraction: 0.3 of one L4 is 5.9 GiB for the engine, and it "
            "takes 16.9: weights of 14.9 GiB, the engine's own 2; write 0.86 or more",
        ),
        (
            blend().model_copy(
                update={"router": blend().router.model_copy(update={"replica_group": "card"})}
            ),
            {},
            "Component 'a' and the router are both in the replica group 'card'; give each a group "
            "of its own, which scales by itself. Only components with a gpu_fraction share one.",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    found: BlendConfig, settings: Document, expected: str
) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigError) as error:
        manifests(found, Settings.model_validate(settings))

    assert expected in str(error.value)


def test_a_budget_that_may_be_too_small_is_refused() -> None:
    """Two cards hold two replicas of each only if no gaps are left."""
    service, _ = rendered(blend(2), {"groups": {"card": {"gpus": 2}}})
    [(_, problem)] = check.problems([service], crd.schema())
    assert str(problem) == (
        "spec.rayClusterConfig.workerGroupSpecs[1].maxReplicas: 2 is too few for all replicas "
        "(2 of 'LLMServer:a', 2 of 'LLMServer:b', 2 of 'LLMServer:c'), which take 3 in whatever "
        "order they come; raise it, or lower max_replicas"
    )


def test_pods_take_whole_gpus() -> None:
    """Kubernetes gives no part of one; the share is Ray's."""
    service, card = rendered(blend())
    resources = card["template"]["spec"]["containers"][0]["resources"]
    for kind in ("limits", "requests"):
        resources[kind]["nvidia.com/gpu"] = "0.3"
    found = [str(problem) for _, problem in check.problems([service], crd.schema())]

    assert any("0.3 is no whole number, and Kubernetes gives whole GPUs alone" in p for p in found)


def test_memory_suffices_for_any_mix_on_a_card() -> None:
    """The largest sum of weights that fits by shares: two of one size, or one of each."""
    found = load("modern-one-gpu")
    _, card = rendered(found)
    weights = [2 * (component.parameters or 0) for component in found.components]

    assert float(quantity(limits(card)["memory"])) > 3 * max(weights) + 20 * GIB


def test_another_share_restarts_its_component_alone() -> None:
    """The pods stay, and so do the other components on the card."""
    old, _ = rendered(blend())
    new, _ = rendered(blend(a={"gpu_fraction": 0.29}))

    [sentence] = diff.sentences(Edit(new, old))
    assert sentence == (
        "The engine of 'a' changes (gpu_fraction 0.3 → 0.29): its replicas restart, the other "
        "components stay."
    )


def test_replicas_beyond_the_budget_are_said_to_wait() -> None:
    """The running cluster keeps one card, whatever the Serve config asks for."""
    old, _ = rendered(blend())
    new, _ = rendered(blend(most=2))
    said = diff.sentences(Edit(new, old))

    assert any("REPLICAS WAIT FOR EVER" in s and "1 is too few" in s for s in said)


def test_engines_on_gpus_and_on_cpus_have_images_of_their_own() -> None:
    """vLLM is built for one or the other; head, router and the simulated run no engine."""
    data = blend().model_dump(mode="json", exclude_none=True)
    toy = {"id": "toy", "kind": "vllm", "engine": {"model": "demo:ember"}}
    simulated = {"id": "sim", "kind": "simulated"}
    mixed = BlendConfig.model_validate(
        {**data, "components": [*data["components"], toy, simulated]}
    )

    def images(**settings: str) -> dict[str, str]:
        service, _ = manifests(mixed, Settings.model_validate(settings))
        return {g.name: g.ray_container["image"] for g in groups(service)}

    named = {name: image.split(":")[0] for name, image in images().items()}
    assert named == {
        **dict.fromkeys(("head", "router", "card", "sim"), "blended-gpu"),
        "toy": "blended-cpu",
    }
    both = images(image="x/gpu:1", cpu_image="x/cpu:1")
    assert (both["card"], both["head"], both["toy"]) == ("x/gpu:1", "x/gpu:1", "x/cpu:1")
    with pytest.raises(ConfigError, match="the settings name one image, 'x/gpu:1'; write both"):
        images(image="x/gpu:1")
