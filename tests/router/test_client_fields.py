"""What the usual clients send reaches the components, or is left out as documented."""

from typing import Any

import pytest

from tests.router.field_members import TOOL, members, with_enum

CLIENTS: dict[str, dict[str, Any]] = {
    "openai": {
        "stream": True,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
        "temperature": 0.5,
        "top_p": 1,
        "n": 1,
        "stop": ["END"],
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 5,
        "logit_bias": {"42": -100},
        "presence_penalty": -2,
        "frequency_penalty": 2.0,
        "max_completion_tokens": 100,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": with_enum(1000),
        "reasoning_effort": "low",
        "modalities": ["text"],
        "metadata": {"conversation_id": "c"},
        "user": "ada",
        "safety_identifier": "ada",
        "prompt_cache_key": "c",
        "prompt_cache_retention": "24h",
        "prediction": {"type": "content", "content": "x"},
        "store": False,
        "service_tier": "auto",
    },
    "open webui": {
        "stream": True,
        "temperature": 0.8,
        "top_k": 40,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "max_tokens": 128,
        "frequency_penalty": 0,
        "stop": [],
        "logit_bias": {},
        "reasoning_effort": "medium",
    },
    "langchain": {
        "stream": False,
        "temperature": None,
        "max_tokens": None,
        "tools": [],
        "tool_choice": "auto",
        "something_new": None,
    },
    "vllm": {
        "min_tokens": 3,
        "stop_token_ids": [2],
        "include_stop_str_in_output": True,
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "structured_outputs": {"choice": ["a", "b"]},
        "chat_template_kwargs": {"enable_thinking": False},
        "add_generation_prompt": False,
        "continue_final_message": True,
    },
}
NOT_PASSED = {
    *("metadata", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    *("prediction", "store", "service_tier", "modalities", "something_new"),
}


@pytest.mark.parametrize("client", CLIENTS)
async def test_what_clients_send_is_answered(client: str) -> None:
    """The usual clients' fields reach the component, or are left out as documented."""
    given = CLIENTS[client]
    async with members(a=()) as (r, seen):
        response = await r.chat(**given)

    assert response.status_code == 200, response.text
    [body] = seen
    assert not NOT_PASSED & body.keys()
    kept = {n: v for n, v in given.items() if n not in NOT_PASSED and v is not None}
    if kept.get("tools") == []:
        del kept["tools"]  # engines refuse an empty list
    if "stream_options" in kept:
        kept["stream_options"] = {"include_usage": True}
    assert kept == {name: body[name] for name in kept}
