"""Manifests as plain documents."""

from decimal import Decimal

import pytest

from blended.errors import ConfigError
from cluster.manifests import groups, load, of_kind, pod, quantity, ray_version, serve_config
from tests.cluster.manifest import rayservice, serve


def test_several_documents_are_read() -> None:
    """Empty ones are left out, and kinds are found in their order."""
    text = "kind: A\nname: 1\n---\n---\nkind: B\n---\n# nothing\n---\nkind: A\nname: 2\n"

    documents = load(text, "test.yaml")

    assert [document["kind"] for document in documents] == ["A", "B", "A"]
    assert [document["name"] for document in of_kind(documents, "A")] == [1, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "kind: A\nspec: {cpu: 1, cpu: 2}",
            "test.yaml:2: this is not valid YAML: the key 'cpu' st",
        ),
        ("kind: [", "test.yaml:2: this is not valid YAML"),
        ("kind: " + "[" * 3000, "test.yaml:1: this is not valid YAML: lists and mappings lie"),
        ("- kind: A", "test.yaml holds a list, which is no manifest; give a mapping"),
    ],
)
def test_what_is_no_manifest_is_refused(text: str, words: str) -> None:
    """A key that stands twice above all, of which PyYAML would keep the last."""
    with pytest.raises(ConfigError) as raised:
        load(text, "test.yaml")

    assert words in str(raised.value)


def test_a_merged_key_may_be_overridden() -> None:
    """That is what `<<` is for."""
    (document,) = load("a: &a {x: 1, y: 1}\nb: {<<: *a, y: 2}", "test.yaml")

    assert document["b"] == {"x": 1, "y": 2}


def test_a_service_is_taken_apart() -> None:
    """Head first, then the worker groups; the Serve config is a text in it."""
    found = groups(rayservice())

    assert [group.name for group in found] == ["head", "router", "small", "large"]
    assert [group.head for group in found] == [True, False, False, False]
    assert found[2].path == "spec.rayClusterConfig.workerGroupSpecs[1]"
    assert found[2].ray_container["name"] == "ray-worker"
    assert pod(found[2])["metadata"] == {"name": "small"}
    assert serve_config(rayservice()) == serve()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", "2"),
        (2, "2"),
        ("500m", "0.5"),
        ("1.5", "1.5"),
        ("8Gi", "8589934592"),
        ("1k", "1000"),
        ("1e3", "1000"),
        ("2E", "2000000000000000000"),
    ],
)
def test_quantities_are_numbers(text: str | int, number: str) -> None:
    """In all of Kubernetes' units."""
    assert quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "m", "8GB", "a lot"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    """With what may be written instead."""
    with pytest.raises(ValueError, match="is no quantity; write 2, 500m or 8Gi"):
        quantity(text)


@pytest.mark.parametrize(
    ("text", "version"), [("2.60.0", (2, 60)), ("2.9", (2, 9)), ("nightly", ()), ("", ())]
)
def test_versions_of_ray_can_be_compared(text: str, version: tuple[int, ...]) -> None:
    """By their numbers, not as texts."""
    assert ray_version({"rayVersion": text}) == version
