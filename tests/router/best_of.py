"""Blends whose components give several candidates, with a reward model that can read them."""

from typing import Any

from blended.components.simulated_quality import quality_of
from blended.config import BlendConfig
from tests.support import events

REWARD = {"kind": "simulated", "correlation": 1, "ms": 0}


def choosing(
    *names: str, best_of: Any = 4, reward: Any = REWARD, simulation: Any = None, **fields: Any
) -> BlendConfig:
    """Simulated components whose texts begin with their quality, by which the model chooses."""
    timing = {"ttft_ms": 0, "itl_ms": 0, "tokens": 4, "quality": True}
    components = [
        {"id": n, "kind": "simulated", "simulation": timing | (simulation or {})}
        | ({} if best_of is None else {"best_of": best_of})
        for n in names or ("a",)
    ]
    data = {"name": "blend", "components": components, **fields}
    return BlendConfig.model_validate(data | ({} if reward is None else {"reward": reward}))


def text_of(response: Any, is_stream: bool) -> str:
    """The text that a client got."""
    if not is_stream:
        return str(response.json()["choices"][0]["message"]["content"])
    chunks = [event for event in events(response.content) if event != "[DONE]"]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def quality(response: Any, is_stream: bool = False) -> float:
    """The quality that stands in the text that a client got."""
    found = quality_of(text_of(response, is_stream))
    assert found is not None, "the text has its quality"
    return found
