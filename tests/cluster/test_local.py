"""A RayService rehearsed on this machine: what of it stays the same, and what is refused.

`tests/live/test_rehearsal.py` runs it.
"""

from pathlib import Path

import pytest
import yaml

from blended.config.loading import load
from blended.errors import ConfigError
from cluster import local
from cluster.manifests import Document, dump, groups, serve_config
from cluster.rayservice import manifests
from cluster.rehearsal import autoscaling, rehearsed
from cluster.rules.replica_needs import ReplicaNeed, needs
from cluster.settings import Settings


def rayservice(preset: str = "modern") -> Document:
    service, _ = manifests(load(preset), Settings())
    return service


def asked(config: Document) -> dict[str, ReplicaNeed]:
    """What each application asks of the nodes, by its name; who picks replicas left out."""
    names = [app["name"] for app in config["applications"]]
    found = [need for need in needs(config) if need.name != "LLMRouter"]
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize("preset", ["modern", "paper", "demo"])
def test_simulated_engines_ask_for_the_same_hardware(preset: str) -> None:
    """CPUs, GPUs and their type, on one node of the same group, and as many replicas."""
    service = rayservice(preset)
    real, simulated = asked(serve_config(service)), asked(rehearsed(service, 8000))

    assert real.keys() == simulated.keys()
    for name, need in real.items():
        found = simulated[name]
        assert found.selectors[0] == need.selectors[0]
        assert found.replicas == need.replicas
        for resource in ("CPU", "GPU"):
            assert found.total(resource) == pytest.approx(need.total(resource))
        if need.total("GPU"):
            assert (found.bundles, found.packed) == (need.bundles, need.packed)


def test_nodes_are_those_of_the_groups_but_for_memory() -> None:
    """This machine has not the memory of all pods; one node type for each group, and the head's."""
    service = rayservice()
    config = autoscaling(service, gcs_port=6379)
    types = config["available_node_types"]

    assert set(types) == {"ray.head.default", *(g.name for g in groups(service) if not g.head)}
    assert config["head_node_type"] == "ray.head.default"
    assert all("memory" not in kind["resources"] for kind in types.values())
    assert types["qwen"]["labels"] == {"blended/qwen": "true"}
    assert types["qwen"]["resources"]["GPU"] == 1


def test_a_kustomized_file_is_read_like_a_rendered_one(tmp_path: Path) -> None:
    """The RayService among other documents."""
    path = tmp_path / "overlay.yaml"
    path.write_text(f"kind: Namespace\n---\n{dump(rayservice())}")

    assert local.read(str(path), None) == rayservice() == local.read("modern", None)


def test_groups_can_have_fewer_nodes(tmp_path: Path) -> None:
    """Those that are named; an unknown one is refused."""
    found = local.bounded(rayservice(), {"qwen": 1})
    most = {group.name: group.spec.get("maxReplicas") for group in groups(found)}

    assert most == {"head": None, "router": 9, "qwen": 1, "mistral": 4, "gemma": 4}
    with pytest.raises(ConfigError, match="no group 'llama'; there are router, qwen"):
        local.bounded(rayservice(), {"llama": 1})


def test_a_service_of_others_is_refused() -> None:
    """Only a blend's can be simulated."""
    service = rayservice()
    service["spec"]["serveConfigV2"] = yaml.safe_dump({"applications": [{"name": "x"}]})

    with pytest.raises(ConfigError, match="not one of a blend"):
        rehearsed(service, 8000)


def test_what_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started."""
    assert local.main(["nothing.yaml"]) == 2
    assert "'nothing.yaml' cannot be read" in capsys.readouterr().err
