"""What the peers are told, and what becomes of one that cannot be installed."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from loadtests.harness.processes import Unavailable
from loadtests.studies.router_overhead.environments import PipPackage, installed
from loadtests.studies.router_overhead.peers import PEERS, PeerSite

URLS = {model: f"http://127.0.0.1:900{index}" for index, model in enumerate("abc")}


@pytest.fixture
def site(tmp_path: Path) -> PeerSite:
    """Where a peer would be started."""
    return PeerSite(tmp_path / "environment", tmp_path, 9100, URLS)


def test_litellm_knows_the_weights(site: PeerSite) -> None:
    """One model name stands for three deployments with weights 5, 3 and 2."""
    PEERS["litellm"].command(site)

    models = yaml.safe_load((site.folder / "litellm.yaml").read_text())["model_list"]
    weights = {m["litellm_params"]["api_base"]: m["litellm_params"]["weight"] for m in models}
    assert weights == {f"{URLS['a']}/v1": 5, f"{URLS['b']}/v1": 3, f"{URLS['c']}/v1": 2}
    assert {m["model_name"] for m in models} == {PEERS["litellm"].model}


def test_tensorzero_knows_the_weights(site: PeerSite) -> None:
    """One function stands for three variants with shares that sum to one."""
    PEERS["tensorzero"].command(site)

    config = tomllib.loads((site.folder / "tensorzero.toml").read_text())
    function = config["functions"]["bench"]
    assert function["experimentation"]["candidate_variants"] == {"a": 0.5, "b": 0.3, "c": 0.2}
    assert set(function["variants"]) == set(config["models"]) == {"a", "b", "c"}


def test_portkey_knows_the_weights(site: PeerSite) -> None:
    """Its configuration is a header of every request."""
    config = json.loads(PEERS["portkey"].headers(site)["x-portkey-config"])

    assert [target["weight"] for target in config["targets"]] == [0.5, 0.3, 0.2]


@pytest.mark.parametrize("name", ["vllm_router", "sglang_router", "production_stack"])
def test_the_other_routers_know_all_models(name: str, site: PeerSite) -> None:
    """They know no weights, but every address."""
    command = " ".join(map(str, PEERS[name].command(site)))

    assert all(url in command for url in URLS.values())


def test_a_peer_that_cannot_be_installed_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause is one sentence, and no environment counts as made."""
    monkeypatch.setenv("BLENDED_PEERS_DIR", str(tmp_path))
    package = PipPackage("anything", python="no-such-python")

    for _ in range(2):
        with pytest.raises(Unavailable, match="not installed: there is no 'no-such-python' here"):
            installed("peer", package)
