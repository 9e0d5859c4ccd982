"""Blended before the simulated upstream, as a target."""

from contextlib import ExitStack
from typing import Any

from loadtests.harness.provenance import package_version
from loadtests.harness.start import UPSTREAM_KEY_ENV, up
from loadtests.harness.targets import (
    Place,
    Target,
    one_model,
)
from loadtests.studies.router_overhead.peers import WEIGHTS

# All clients may ask in the same millisecond.
ROOM = {"max_queued_requests": 64}


def start_blended(place: Place, stack: ExitStack) -> list[Target]:
    """Blended in front of the upstream, and in front of simulated components of its own.

    The latter are in the same cluster with weight 0: they are asked by name, through both of the
    hops that a component on the cluster takes.
    """
    cluster, version = up(_blend("bench", place), place, stack), package_version()
    local = {"unary": "burst", "paced": "paced", "burst": "burst"}
    return [
        Target("blended", version, models=one_model("bench"), **cluster),
        Target("blended_local", version, models=local, token=" simulated", min_tokens=1, **cluster),
    ]


def start_without_journal(place: Place, stack: ExitStack) -> list[Target]:
    """The same blend, with nothing kept of its responses."""
    blend = _blend("bench-no-journal", place) | {"journal": {"enabled": False}}
    models = one_model("bench-no-journal")
    return [
        Target("blended_no_journal", package_version(), models=models, **up(blend, place, stack))
    ]


def _blend(name: str, place: Place) -> dict[str, Any]:
    simulated = [
        {"id": kind, "kind": "simulated", "simulation": simulation(itl_ms), "replicas": ROOM}
        for kind, itl_ms in (("paced", 10), ("burst", 0))
    ]
    return {
        "name": name,
        "components": [*_remote(place), *simulated],
        "selection": {"weights": {**WEIGHTS, "paced": 0, "burst": 0}},
        "router": {"replicas": {"min": 1, "max": 1}},
    }


def _remote(place: Place) -> list[dict[str, str]]:
    return [
        {"id": model, "kind": "remote", "base_url": f"{url}/v1", "model": model}
        | {"api_key_env": UPSTREAM_KEY_ENV}
        for model, url in place.urls.items()
    ]


def simulation(itl_ms: float) -> dict[str, float]:
    """A component whose responses are as long as they may be, and as regular as the upstream's."""
    return {"ttft_ms": 0, "itl_ms": itl_ms, "tokens": 100_000, "jitter": 0}
