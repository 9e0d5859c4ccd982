"""What is rendered means the same to every reader of YAML, KubeRay's operator among them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from blended.config import BlendConfig
from blended.config.loading import load
from cluster import check
from cluster.manifests import Document, dump
from cluster.rayservice import manifests
from cluster.render import K8S
from cluster.rules import crd
from cluster.settings import Settings
from cluster.settings import load as load_settings
from cluster.yaml_scalars import unclear
from tests.cluster.manifest import rayservice
from tests.cluster.test_overlays import OVERLAYS, built
from tests.cluster.yaml_readers import READERS, readings, shown

WORST_IDS = ("on", "no", "y", "n", "null", "true", "1e3", "0o7", "0777", "0x1f", "1-0", "12")
WORST_TEXTS = ("12:30", "~", "1_000", ".inf", "=", "<<", "2026-12-01", "0O7", "-1", "1.", "", "- a")
PLAIN = ("a", "8Gi", "500m", "2.60.0", "0.0.0.0", "1", "-1", "1.5", "1.0e-05", "true", "null", "")
AMBIGUOUS = (
    *(text for text in WORST_IDS if text not in ("1-0", "true", "null", "12")),
    *("12:30", "1_000", ".inf", "2026-12-01", "0O7", "1.", "0b11", "190:20:30", "1e-05", "+1"),
)


def worst() -> tuple[Document, list[Document]]:
    """A blend whose ids and values are what readers take for something else."""
    components: list[Any] = [
        {
            "id": name,
            "kind": "vllm",
            "description": text,
            "engine": {"model": f"e/{name}", "env": {"A": text}, "args": {"revision": text}},
            "sampling": {"min_p": 1e-05, "stop": [text] if text else []},
        }
        for name, text in zip(WORST_IDS, WORST_TEXTS, strict=True)
    ]
    blend = {
        "name": "off",
        "components": components,
        "selection": {"weights": {name: 1e-05 * (i + 1) for i, name in enumerate(WORST_IDS)}},
    }
    pods = {
        "node_selector": {"zone": "on", "n": "1e3"},
        "tolerations": [{"key": "n", "value": "y"}],
    }
    settings = {"image": "e:1e3", "components": {"on": pods}}
    return manifests(BlendConfig.model_validate(blend), Settings.model_validate(settings))


def preset(name: str) -> tuple[Document, list[Document]]:
    """A preset's manifests, with the settings of the overlay that it runs in."""
    overlay = {"demo": "dev", "modern": "prod"}.get(name)
    file = K8S / "overlays" / overlay / "cluster.yaml" if overlay else None
    return manifests(load(name), load_settings(file))


RENDERED = ("demo", "paper", "modern", "worst")


@pytest.mark.parametrize("name", RENDERED)
def test_what_is_rendered_is_read_as_it_is_meant(name: str) -> None:
    """By every reader: names, labels, values, numbers, and the Serve config."""
    service, budgets = worst() if name == "worst" else preset(name)
    for document in (service, *budgets):
        for reader, found in readings(dump(document)).items():
            assert shown(found) == shown([document]), reader
    text = service["spec"]["serveConfigV2"]
    meant = shown([json.loads(text)])
    # PyYAML alone takes JSON's 1e-05 for a text, and nothing reads a Serve config by it.
    said = {reader: shown(read(text)) for reader, read in READERS.items() if reader != "Python"}
    assert said == dict.fromkeys(said, meant)


@pytest.mark.parametrize("name", RENDERED)
def test_the_id_of_every_component_stays_a_text(name: str) -> None:
    """Where it is the key of a mapping, too."""
    service, _ = worst() if name == "worst" else preset(name)
    (config,) = READERS["Go"](service["spec"]["serveConfigV2"])
    blend = config["applications"][-1]["deployments"][0]["user_config"]["blend"]

    assert all(isinstance(key, str) for key in blend["selection"].get("weights", {}))
    assert all("n" in component["sampling"] for component in blend["components"])


@pytest.mark.parametrize("path", sorted(K8S.rglob("*.yaml")), ids=lambda path: str(path.name))
def test_what_is_written_by_hand_is_read_by_all_alike(path: Path) -> None:
    """Every manifest of this project, and every file of settings."""
    agree(path.read_text())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_kustomize_makes_is_read_by_all_alike(overlay: str) -> None:
    """It reads and writes by rules of its own."""
    for document in built(K8S / "overlays" / overlay):
        agree(yaml.safe_dump(document))


def agree(text: str) -> None:
    """Every reader sees the same documents."""
    found = {reader: shown(value) for reader, value in readings(text).items()}
    assert found == dict.fromkeys(found, found["Go"])


@pytest.mark.parametrize("scalar", PLAIN)
def test_a_plain_scalar_that_all_read_alike_is_clear(scalar: str) -> None:
    """Versions, addresses, quantities and numbers stay as people write them."""
    assert unclear(f"key: {scalar}") == []
    agree(f"key: {scalar}")


@pytest.mark.parametrize("scalar", AMBIGUOUS)
def test_a_scalar_that_readers_see_differently_is_found(scalar: str) -> None:
    """As a value, as a key and in a list; quoted it is clear."""
    assert unclear(f"key: {scalar}") == [("key", scalar)]
    assert unclear(f"top:\n  {scalar}: 1") == [("top", scalar)]
    assert unclear(f"top: [a, {scalar}]") == [("top[1]", scalar)]
    assert unclear(f"key: '{scalar}'") == []


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.text("0123456789aAbBoOxXeEfFnNyYtT+-.:_", min_size=1, max_size=7))
def test_whatever_readers_see_differently_is_found(scalar: str) -> None:
    """Of texts of the characters that numbers, times and words are made of."""
    text = f'key: {scalar} # "'
    try:
        found = {shown(value) for value in readings(text).values()}
    except (yaml.YAMLError, ValueError):
        return
    if len(found) > 1:
        assert unclear(text) != []


def test_check_refuses_a_serve_config_that_is_read_in_two_ways() -> None:
    """KubeRay would send the sampling parameter `n` as `false`, and Serve would refuse it."""
    manifest = rayservice()
    config = yaml.safe_load(manifest["spec"]["serveConfigV2"])
    manifest["spec"]["serveConfigV2"] = yaml.safe_dump(config)
    found = [str(problem) for _, problem in check.problems([manifest], crd.schema())]

    assert len(found) == 2
    assert all(".sampling: n is one thing to some readers of YAML" in problem for problem in found)
    assert all("write serveConfigV2 as JSON" in problem for problem in found)
