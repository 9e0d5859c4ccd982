"""The blends of the study, and the switch between look-ahead on and off while they run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blended.config.loading import load
from loadtests.harness import start
from loadtests.harness.targets import Place

COMPONENTS = ("one", "two", "three")
# The window of eight turns, and room for the conversations of a round in the cache.
_CONTEXT, _CACHE_BYTES = 2048, 2**29


def words_blend(folders: Mapping[str, Path]) -> dict[str, Any]:
    """Three engines on the CPU with the models in these folders."""
    engine = {
        "max_model_len": _CONTEXT,
        "cpus": 0.2,
        "env": {"HF_HUB_OFFLINE": "1"},
        "args": {
            "dtype": "float32",
            "enforce_eager": True,
            "block_size": 32,
            "kv_cache_memory_bytes": _CACHE_BYTES,
            "max_num_batched_tokens": _CONTEXT,
            "max_num_seqs": 8,
        },
    }
    components = [
        {"id": name, "kind": "vllm", "engine": {**engine, "model": str(folder)}}
        for name, folder in folders.items()
    ]
    return _studied({"name": "words", "components": components})


def demo_blend() -> dict[str, Any]:
    """The demo's blend, with room for many conversations."""
    data = load("demo").model_dump(mode="json", exclude_none=True)
    for component in data["components"]:
        component["engine"]["args"]["kv_cache_memory_bytes"] = _CACHE_BYTES // 2
    return _studied(data)


def _studied(data: dict[str, Any]) -> dict[str, Any]:
    # One policy of scheduling in all series: the switch restarts no engine.
    for component in data["components"]:
        component["engine"]["args"]["scheduling_policy"] = "priority"
    return data | {
        "api": {"reveal_component": True, "cache_salt": "user"},
        "router": {"cpus": 0.1, "replicas": {"min": 1, "max": 1}},
    }


@dataclass(frozen=True)
class Switch:
    """Turns look-ahead of a running blend on and off."""

    blend: dict[str, Any]
    place: Place

    def turn(self, on: bool) -> None:
        """Change the running blend, which takes effect for the next response.

        Raises:
            Unavailable: it could not be changed.
        """
        selection = {**self.blend.get("selection", {}), "look_ahead": on}
        start.apply({**self.blend, "selection": selection}, self.place)
