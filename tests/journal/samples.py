"""Records to test with."""

from typing import Any

from blended.journal.records import ResponseRecord
from blended.learning.features import Facts


def response(number: int = 0, **fields: Any) -> ResponseRecord:
    """A record of a response that finished; `number` tells it from others."""
    values: dict[str, Any] = {
        "response_id": f"chatcmpl-{number:032x}",
        "request_id": f"request-{number}",
        "started_at": 1_790_000_000.0 + number,
        "key_name": "default",
        "user": "5f" * 16,
        "conversation": "c0" * 16,
        "turn": 1,
        "lineage": None,
        "parent": None,
        "model": "friends",
        "experiment": None,
        "arm": None,
        "distribution": "d1" * 6,
        "probabilities": {"a": 0.25, "b": 0.75},
        "uniform": 0.5,
        "drawn": "b",
        "component": "b",
        "propensity": 0.75,
        "failures": [],
        "replica": None,
        "stream": True,
        "prompt_tokens": 100,
        "cached_tokens": 64,
        "completion_tokens": 20,
        "ttft_s": 0.05,
        "itl_mean_s": 0.01,
        "itl_p99_s": 0.02,
        "e2e_s": 0.25,
        "router_s": 0.001,
        "finish_reason": "stop",
        "state": "finished",
        "needs": ["tools"],
        "left": ["a", "b"],
        "ahead": "6e",
        "policy": "friends-1@0123456789ab",
        "facts": Facts(1, 7, "a", 2.5, False).to_json(),
        "candidates": {
            "k": 2,
            "chosen": 1,
            "chosen_by": "reward",
            "reason": None,
            "scores": [-0.5, 0.25],
            "reward_version": "v1",
            "rejected_tokens": None,
        },
    }
    return ResponseRecord(**values | fields)
