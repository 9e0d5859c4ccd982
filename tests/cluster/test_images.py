"""The Dockerfiles, as far as they can be judged without building them."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from cluster.render import K8S
from cluster.settings import DEFAULT_IMAGES, Build

ROOT = K8S.parent
IMAGES = sorted(DEFAULT_IMAGES)


def lines(image: str) -> list[str]:
    """The instructions of a Dockerfile, continued lines as one."""
    text = (K8S / "images" / f"{image}.Dockerfile").read_text()
    joined = re.sub(r"\\\n\s*", "", text)
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("image", IMAGES)
def test_it_has_the_ray_that_the_manifests_name(image: str) -> None:
    """Head and workers speak only to their own version of Ray."""
    (base,) = (line for line in lines(image) if line.startswith("ARG RAY_IMAGE="))

    assert f":{version('ray')}-py3" in base
    assert lines(image).count("FROM ${RAY_IMAGE}") == 1


@pytest.mark.parametrize("image", IMAGES)
def test_it_ends_as_somebody_who_is_not_root(image: str) -> None:
    """As the user that the pods run as."""
    users = [line for line in lines(image) if line.startswith("USER")]

    assert users[-1] == "USER 1000"


@pytest.mark.parametrize("image", IMAGES)
def test_it_has_what_probes_need(image: str) -> None:
    """bash and wget are installed, whatever the base has."""
    (install,) = (line for line in lines(image) if "apt-get install" in line)

    assert re.search(r"\bbash\b.*\bwget\b", install)


@pytest.mark.parametrize("image", IMAGES)
def test_what_it_copies_is_there_and_not_ignored(image: str) -> None:
    """Each source is in the repository and let into the build."""
    sources = [
        source
        for line in lines(image)
        if line.startswith("COPY") and "--from=" not in line
        for source in line.split()[1:-1]
        if not source.startswith("--")
    ]
    admitted = (ROOT / ".dockerignore").read_text().splitlines()

    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in admitted, source


@pytest.mark.parametrize("image", IMAGES)
def test_its_first_line_builds_the_name_that_is_rendered(image: Build) -> None:
    """The tag is the package's version, which pods ask for unless the settings say otherwise."""
    first = (K8S / "images" / f"{image}.Dockerfile").read_text().splitlines()[0]
    path = Path("k8s") / "images" / f"{image}.Dockerfile"

    assert f"docker build -f {path} -t {DEFAULT_IMAGES[image]}:{version('blended')} ." in first
