"""The blends of the study: simulated components whose texts carry their quality."""

from collections.abc import Mapping
from typing import Any

ONE, FOUR, EARLY = "one", "four", "early"
BEST_OF: Mapping[str, Any] = {ONE: None, FOUR: 4, EARLY: {"k": 4, "early": 24}}


def blend(
    name: str,
    timing: Mapping[str, float],
    reward: Mapping[str, Any],
    best_of: Mapping[str, Any] = BEST_OF,
    **fields: Any,
) -> dict[str, Any]:
    """One component for each way to give candidates, and a simulated reward model."""
    many = {"max_ongoing_requests": 512, "max_queued_requests": 512}
    components = [
        {
            "id": component,
            "kind": "simulated",
            # Each has draws of its own, so that no two are of equal texts.
            "simulation": {**timing, "quality": True, "concurrency": 4096, "seed": seed},
            "replicas": many,
            **({} if wanted is None else {"best_of": wanted}),
        }
        for seed, (component, wanted) in enumerate(best_of.items())
    ]
    return {
        "name": name,
        "components": components,
        "reward": {"kind": "simulated", "replicas": many, **reward},
        "router": {"cpus": 0.1, "replicas": {"min": 1, "max": 1}},
        **fields,
    }
