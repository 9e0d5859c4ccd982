"""Edits of a blend, its settings and its manifest, beside a cluster that runs."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from blended.config import BlendConfig
from cluster.manifests import Document
from cluster.rayservice import manifests
from cluster.rayservice_edit import Edit
from cluster.settings import Settings

Change = Callable[[Any, Any], object]
Patch = Callable[[Any], object]

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


@dataclass(frozen=True)
class State:
    """A blend with its settings, and what was changed by hand in its manifest."""

    blend: Document
    settings: Document
    patches: tuple[Patch, ...] = ()
    upgrade: str = "None"

    def manifest(self, earlier: list[Document]) -> Document:
        """The RayService; `earlier` are the groups that keep their places."""
        service, _ = manifests(
            BlendConfig.model_validate(self.blend), Settings.model_validate(self.settings), earlier
        )
        service["spec"]["upgradeStrategy"]["type"] = self.upgrade
        for patch in self.patches:
            patch(service)
        return service


@dataclass(frozen=True)
class Step:
    """One edit: of the blend and its settings, of the manifest as rendered, of the strategy.

    Without `keep` the groups that there were are forgotten, as by a render into another folder.
    """

    change: Change = lambda blend, settings: None
    patch: Patch | None = None
    upgrade: str | None = None
    keep: bool = True

    def after(self, state: State) -> State:
        """The state with this edit in it."""
        blend, settings = copy.deepcopy(state.blend), copy.deepcopy(state.settings)
        self.change(blend, settings)
        patches = state.patches if self.patch is None else (*state.patches, self.patch)
        return State(blend, settings, patches, self.upgrade or state.upgrade)


@dataclass(frozen=True)
class Pair:
    """A step from a cluster that runs as it was rendered first, or after steps that were ignored.

    `upgrade` is the strategy from the beginning on.
    """

    step: Step
    earlier: tuple[Step, ...] = ()
    upgrade: str = "None"

    def edit(self, known: bool = True) -> Edit:
        """What is compared; unless `known`, nobody has looked at the cluster."""
        state = State(BLEND, SETTINGS, upgrade=self.upgrade)
        first = applied = state.manifest([])
        for step in (*self.earlier, self.step):
            state, old = step.after(state), applied
            groups = old["spec"]["rayClusterConfig"]["workerGroupSpecs"] if step.keep else []
            applied = state.manifest(copy.deepcopy(groups))
        return Edit(applied, old, live(first) if known else None)


def live(service: Document) -> Document:
    """The RayCluster that KubeRay makes of a RayService, as the API server shows it.

    The server has filled in its defaults, and the autoscaler has scaled the groups.
    """
    name = service["metadata"]["name"]
    spec = copy.deepcopy(service["spec"]["rayClusterConfig"])
    for group in spec["workerGroupSpecs"]:
        group |= {"replicas": 1, "numOfHosts": 1, "priority": 0}
        group["scaleStrategy"] = {"workersToDelete": [f"{name}-{group['groupName']}-x7k2p"]}
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        for port in group["template"]["spec"]["containers"][0].get("ports", ()):
            port["protocol"] = "TCP"
    owner = {
        "ray.io/originated-from-cr-name": name,
        "ray.io/originated-from-crd": "RayService",
    }
    made = {"ray.io/kuberay-version": "v1.7.0", "ray.io/num-worker-groups": "3"}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": f"{name}-b8x2q", "labels": owner, "annotations": made},
        "spec": spec,
        "status": {"state": "ready"},
    }


def small(blend: Any) -> Any:
    """The first component."""
    return blend["components"][0]


def pods(**fields: Any) -> Step:
    """Other pods for `small`."""
    return Step(lambda blend, settings: settings["components"]["small"].update(fields))


def engine(**fields: Any) -> Step:
    """Another engine of `small`."""
    return Step(lambda blend, settings: small(blend)["engine"].update(fields))


def replicas(**fields: Any) -> Step:
    """Other replicas of `small`."""
    return Step(lambda blend, settings: small(blend)["replicas"].update(fields))


def top(**fields: Any) -> Step:
    """Another field of the blend."""
    return Step(lambda blend, settings: blend.update(fields))


def setting(**fields: Any) -> Step:
    """Another field of the settings."""
    return Step(lambda blend, settings: settings.update(fields))


def component(name: str) -> Document:
    """A component on one GPU."""
    return {"id": name, "kind": "vllm", "engine": {"model": f"e/{name}", "accelerator": "L40S"}}


def added(place: int, keep: bool = True) -> Step:
    """A component more."""
    return Step(
        lambda blend, settings: blend["components"].insert(place, component("new")), keep=keep
    )


def remote(**fields: Any) -> Step:
    """Somebody's API is a component."""
    far = {"id": "far", "kind": "remote", "base_url": "https://api.example.com/v1", "model": "m"}
    return Step(lambda blend, settings: blend["components"].append(far | fields))


def _remove(blend: Any, settings: Any) -> None:
    del blend["components"][0], settings["components"]["small"]


def _rename(blend: Any, settings: Any) -> None:
    small(blend)["id"] = "tiny"
    settings["components"] = {"tiny": settings["components"]["small"]}


def removed(keep: bool = True) -> Step:
    """`small` leaves."""
    return Step(_remove, keep=keep)


def renamed(keep: bool = True) -> Step:
    """`small` is called `tiny`."""
    return Step(_rename, keep=keep)


def reordered(keep: bool = True) -> Step:
    """`large` comes first."""
    return Step(lambda blend, settings: blend["components"].reverse(), keep=keep)


def upgrade(kind: str) -> Step:
    """Another upgrade strategy, and nothing else."""
    return Step(upgrade=kind)


def patched(patch: Patch) -> Step:
    """The manifest is changed by hand."""
    return Step(patch=patch)


def of_service(**fields: Any) -> Step:
    """Other fields beside the cluster."""
    return patched(lambda manifest: manifest["spec"].update(fields))


def marked(kind: str, name: str, value: str) -> Step:
    """One more of the RayService's `labels` or `annotations`."""
    return patched(lambda manifest: manifest["metadata"][kind].update({name: value}))


def of_group(patch: Patch) -> Step:
    """The pods of `small` are changed by hand."""
    return patched(
        lambda manifest: patch(manifest["spec"]["rayClusterConfig"]["workerGroupSpecs"][1])
    )


def of_pod(patch: Patch) -> Step:
    """What the pods of `small` are made from is changed by hand."""
    return of_group(lambda group: patch(group["template"]["spec"]))


def of_container(patch: Patch) -> Step:
    """The container of `small` is changed by hand."""
    return of_pod(lambda pod: patch(pod["containers"][0]))
