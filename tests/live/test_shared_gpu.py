"""Components that share one GPU, on real raylets with fake GPUs and Ray's own autoscaler.

Engines are simulated, as in `python -m cluster.local`; no engine's memory is tested here.
"""

from collections.abc import Iterator

import pytest

from blended.config import BlendConfig
from cluster.manifests import Document
from cluster.rayservice import manifests
from cluster.rehearsal import groups_of
from cluster.settings import Settings
from tests.live.test_rehearsal import Rehearsal, becomes, rehearsing, talking

pytestmark = pytest.mark.ray

SHARES = {"a": 0.3, "b": 0.3, "c": 0.4}


def rayservice(more_of_a: int = 0, without: str = "") -> Document:
    """Three components on one card, or more replicas of `a`; the manifest is that of one card."""
    components = [
        {
            "id": name,
            "kind": "vllm",
            "engine": {
                "model": f"example/{name}",
                "accelerator": "H100",
                "gpu_fraction": share,
                "replica_group": "card",
            },
            "replicas": {"min": count, "max": count, "upscale_delay_s": 1, "downscale_delay_s": 1},
        }
        for name, share in SHARES.items()
        if name != without
        for count in [1 + more_of_a * (name == "a")]
    ]
    router = {"cpus": 0.5, "replicas": {"min": 1, "max": 1}}
    data = {"name": "shared", "components": components, "router": router}
    service, _ = manifests(BlendConfig.model_validate(data), Settings(idle_timeout_s=5))
    return service


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """The rehearsal of one card."""
    with rehearsing(rayservice(), tmp_path_factory.mktemp("shared")) as found:
        yield found


def cards(rehearsal: Rehearsal) -> list[str]:
    """The ids of the nodes with a card."""
    return [n.id for n in rehearsal.api.nodes() if groups_of(n.labels) == ["card"]]


def shares(rehearsal: Rehearsal, state: str) -> list[tuple[str | None, float]]:
    """The node and the share of the card of each placement group in a state, smallest first."""
    answer = rehearsal.http.get("/api/v0/placement_groups", params={"detail": True}).json()
    groups = [g for g in answer["data"]["result"]["result"] if g["state"] == state]
    bundles = [b for group in groups for b in group["bundles"] if b["unit_resources"].get("GPU")]
    return sorted(((b["node_id"], b["unit_resources"]["GPU"]) for b in bundles), key=lambda b: b[1])


def running(rehearsal: Rehearsal) -> dict[str, int]:
    """The running replicas of each component."""
    found = {app.removeprefix("component-"): len(r) for app, r in rehearsal.replicas().items()}
    return {name: found.get(name, 0) for name in SHARES}


def test_three_components_start_on_one_card_and_answer(rehearsal: Rehearsal) -> None:
    """0.3, 0.3 and 0.4 of one node's only GPU, and the router draws all three."""
    becomes(lambda: running(rehearsal) == {"a": 1, "b": 1, "c": 1})
    [card] = cards(rehearsal)

    assert shares(rehearsal, "CREATED") == [(card, 0.3), (card, 0.3), (card, 0.4)]
    with talking(rehearsal, "shared") as talk:
        becomes(lambda: sum(talk.answered.values()) > 20)
    assert talk.failed == []


def test_a_fourth_waits_until_the_card_has_room(rehearsal: Rehearsal) -> None:
    """A full card takes no more, and no other card is in the budget; a component that goes makes
    room.
    """
    rehearsal.deploy(rayservice(more_of_a=1))
    becomes(lambda: len(shares(rehearsal, "PENDING")) == 1)
    assert running(rehearsal) == {"a": 1, "b": 1, "c": 1}
    assert [share for _, share in shares(rehearsal, "PENDING")] == [0.3]

    rehearsal.deploy(rayservice(more_of_a=1, without="b"))
    becomes(lambda: running(rehearsal) == {"a": 2, "b": 0, "c": 1})
    [card] = cards(rehearsal)
    assert shares(rehearsal, "CREATED") == [(card, 0.3), (card, 0.3), (card, 0.4)]
