"""Images by digest, as `cluster.check --pinned` asks for them."""

from pathlib import Path

import pytest

from cluster import check
from cluster.manifests import load_file
from cluster.render import K8S
from cluster.rules import images

DIGEST = f"@sha256:{'0a' * 32}"


def test_an_image_by_its_tag_is_named_with_its_place() -> None:
    """In any kind of document; an image that is no container's is none."""
    containers = [{"name": "a", "image": f"redis:7{DIGEST}"}, {"name": "b", "image": "redis:7"}]
    spec = {"containers": containers, "initContainers": [{"name": "c", "image": "x"}]}
    document = {"kind": "StatefulSet", "spec": {"template": {"spec": spec}, "image": "y"}}

    found = {problem.path: str(problem) for problem in images.unpinned(document)}
    assert set(found) == {
        "spec.template.spec.containers[1].image",
        "spec.template.spec.initContainers[0].image",
    }
    assert "'redis:7' is named by a tag" in found["spec.template.spec.containers[1].image"]


def test_every_group_of_a_rayservice_is_looked_at() -> None:
    """The head's and each worker group's."""
    (service,) = load_file(K8S / "base" / "rayservice.yaml")
    groups = 1 + len(service["spec"]["rayClusterConfig"]["workerGroupSpecs"])

    assert len(images.unpinned(service)) == groups


def test_it_is_asked_for_by_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it tags are no mistake."""
    path, image = tmp_path / "rayservice.yaml", "blended-cpu:0.1.0"
    text = (K8S / "demo" / "rayservice.yaml").read_text()

    path.write_text(text)
    assert check.main([str(path)]) == 0
    assert check.main([str(path), "--pinned"]) == 1
    assert f"'{image}' is named by a tag" in capsys.readouterr().out
    path.write_text(text.replace(image, f"blended-cpu{DIGEST}"))
    assert check.main([str(path), "--pinned"]) == 0
