"""Changes that platform teams make, rendered before and after, and what each does to the cluster.

What is said of each is in pairs.yaml: recorded, and read one by one against KubeRay's rules.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from blended.config import BlendConfig
from cluster.diff import sentences
from cluster.manifests import Document
from cluster.rayservice import manifests
from cluster.settings import Settings

Change = Callable[[Document, Document], object]

BLEND: Document = {
    "name": "pair",
    "components": [
        {
            "id": "small",
            "kind": "vllm",
            "engine": {"model": "e/small", "accelerator": "L40S", "max_model_len": 8192},
            "replicas": {"min": 1, "max": 2},
        },
        {"id": "large", "kind": "vllm", "engine": {"model": "e/large", "accelerator": "H100"}},
    ],
}
SETTINGS: Document = {"image": "blended-gpu:1", "components": {"small": {"gpus": 4}}}


def component(name: str) -> Document:
    return {"id": name, "kind": "vllm", "engine": {"model": f"e/{name}", "accelerator": "L40S"}}


def rendered(blend: Document, settings: Document, earlier: list[Document]) -> Document:
    service, _ = manifests(
        BlendConfig.model_validate(blend), Settings.model_validate(settings), earlier
    )
    return service


@dataclass(frozen=True)
class Pair:
    """A change of blend and settings, and the manifests before and after it.

    Without `keep` the groups of the first are forgotten, as by a render into another folder.
    """

    change: Change
    keep: bool = True
    upgrade: str = "None"

    def sentences(self) -> list[str]:
        """What is said of it."""
        old = rendered(BLEND, SETTINGS, [])
        blend, settings = copy.deepcopy(BLEND), copy.deepcopy(SETTINGS)
        self.change(blend, settings)
        earlier = old["spec"]["rayClusterConfig"]["workerGroupSpecs"] if self.keep else []
        new = rendered(blend, settings, earlier)
        for manifest in (old, new):
            manifest["spec"]["upgradeStrategy"]["type"] = self.upgrade
        return sentences(old, new)


def small(blend: Document) -> Any:
    return blend["components"][0]


def pods(**fields: Any) -> Change:
    """Other pods for `small`."""
    return lambda blend, settings: settings["components"]["small"].update(fields)


def engine(**fields: Any) -> Change:
    """Another engine of `small`."""
    return lambda blend, settings: small(blend)["engine"].update(fields)


def replicas(**fields: Any) -> Change:
    """Other replicas of `small`."""
    return lambda blend, settings: small(blend)["replicas"].update(fields)


def top(**fields: Any) -> Change:
    """Another field of the blend."""
    return lambda blend, settings: blend.update(fields)


def setting(**fields: Any) -> Change:
    """Another field of the settings."""
    return lambda blend, settings: settings.update(fields)


def added(place: int) -> Change:
    """A component more."""
    return lambda blend, settings: blend["components"].insert(place, component("new"))


def removed(blend: Document, settings: Document) -> None:
    """`small` leaves."""
    del blend["components"][0], settings["components"]["small"]


def renamed(blend: Document, settings: Document) -> None:
    """`small` is called `tiny`."""
    small(blend)["id"] = "tiny"
    settings["components"] = {"tiny": settings["components"]["small"]}


def reordered(blend: Document, settings: Document) -> None:
    """`large` comes first."""
    blend["components"].reverse()


def remote(**fields: Any) -> Change:
    """Somebody's API is a component."""
    far = {"id": "far", "kind": "remote", "base_url": "https://api.example.com/v1", "model": "m"}
    return lambda blend, settings: blend["components"].append(far | fields)


EXPERIMENT = {
    "name": "e",
    "start": "2026-12-01",
    "end": "2027-01-01",
    "control": "a",
    "arms": [{"id": "a"}, {"id": "b", "weights": {"small": 1}}],
}

PAIRS = {
    "weights": Pair(top(selection={"weights": {"small": 3, "large": 1}})),
    "a weight of zero": Pair(top(selection={"weights": {"small": 1, "large": 0}})),
    "sampling": Pair(lambda b, s: small(b).update(sampling={"temperature": 0.5})),
    "an experiment": Pair(top(experiments=[EXPERIMENT])),
    "replica counts": Pair(replicas(min=2, max=4)),
    "target of autoscaling": Pair(replicas(target_ongoing_requests=16)),
    "longest response": Pair(replicas(graceful_shutdown_timeout_s=1200)),
    "router replicas": Pair(top(router={"replicas": {"min": 3, "max": 8}})),
    "router replicas over the cap": Pair(top(router={"replicas": {"min": 2, "max": 12}})),
    "engine argument": Pair(engine(args={"max_num_seqs": 64})),
    "model": Pair(engine(model="e/small-v2")),
    "engine env": Pair(engine(env={"HF_HUB_OFFLINE": "1"})),
    "tracing": Pair(top(tracing={})),
    "component at the end": Pair(added(2)),
    "component in the middle": Pair(added(1)),
    "component in the middle, places forgotten": Pair(added(1), keep=False),
    "component in the middle, places forgotten, upgrade": Pair(
        added(1), keep=False, upgrade="NewCluster"
    ),
    "component removed": Pair(removed),
    "component removed, places forgotten": Pair(removed, keep=False),
    "component renamed": Pair(renamed),
    "component renamed, places forgotten, upgrade": Pair(renamed, keep=False, upgrade="NewCluster"),
    "components reordered": Pair(reordered),
    "components reordered, places forgotten, upgrade": Pair(
        reordered, keep=False, upgrade="NewCluster"
    ),
    "remote component": Pair(remote()),
    "remote component with a key": Pair(remote(api_key_env="FAR_KEY")),
    "tensor parallelism": Pair(engine(tensor_parallel_size=2)),
    "tensor parallelism, upgrade": Pair(engine(tensor_parallel_size=2), upgrade="NewCluster"),
    "other GPUs": Pair(pods(accelerator="H100")),
    "other GPUs in a new group": Pair(engine(accelerator="H100", replica_group="small-h100")),
    "image": Pair(setting(image="blended-gpu:2")),
    "image, upgrade": Pair(setting(image="blended-gpu:2"), upgrade="NewCluster"),
    "GPU budget": Pair(pods(gpus=8)),
    "GPU budget, upgrade": Pair(pods(gpus=8), upgrade="NewCluster"),
    "memory": Pair(pods(memory="80Gi")),
    "memory, upgrade": Pair(pods(memory="80Gi"), upgrade="NewCluster"),
    "node selector": Pair(pods(node_selector={"zone": "a"})),
    "toleration, upgrade": Pair(pods(tolerations=[{"key": "spot"}]), upgrade="NewCluster"),
    "idle timeout, upgrade": Pair(setting(idle_timeout_s=600), upgrade="NewCluster"),
    "time to start": Pair(setting(initializing_timeout="2h")),
    "name of the blend and so of the service": Pair(top(name="duo")),
    "name of the service": Pair(setting(name="duo")),
    "nothing": Pair(top()),
}
RECORDED = yaml.safe_load(Path(__file__).with_name("pairs.yaml").read_text())


@pytest.mark.parametrize("name", PAIRS)
def test_a_change_is_told_with_what_it_takes(name: str) -> None:
    """Every sentence is the recorded one, in its order, and there is no other."""
    assert PAIRS[name].sentences() == RECORDED[name]


def test_a_second_cluster_is_never_started_by_default() -> None:
    """Only another upgrade strategy starts one, or another name of the RayService."""
    told = {name: " ".join(pair.sentences()) for name, pair in PAIRS.items()}
    upgrades = {name for name, pair in PAIRS.items() if pair.upgrade == "NewCluster"}

    assert {name for name, text in told.items() if "A SECOND CLUSTER" in text} == upgrades - {
        "GPU budget, upgrade",
        "toleration, upgrade",
    }
    assert {name for name, text in told.items() if "ANOTHER RayService" in text} == {
        "name of the blend and so of the service",
        "name of the service",
    }
