"""The limits of keys at the API: every request counts, and tokens before they are spent."""

import asyncio
import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from blended.config import BlendConfig
from tests.support import blend, eventually, rig

REVEALED = {"api": {"reveal_component": True}}


async def test_a_key_has_its_limits_and_hears_of_them(tmp_path: Path) -> None:
    """Requests and tokens per minute are counted per key, and shown in OpenAI's headers."""
    keys = tmp_path / "keys.yaml"
    sha256 = hashlib.sha256(b"limited").hexdigest()
    keys.write_text(
        f"keys: [{{name: app, sha256: {sha256}, requests_per_minute: 3, tokens_per_minute: 1000}}]"
    )
    async with rig(blend("a", api={"keys_file": str(keys)})) as r:
        limited = {"Authorization": "Bearer limited"}
        answers = [await r.chat(stream=s, headers=limited) for s in (False, True, False)]
        refused = await r.chat(headers=limited)
        others = await r.chat()

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    left = [int(answer.headers["x-ratelimit-remaining-requests"]) for answer in answers]
    assert left == [2, 1, 0]
    tokens = [int(answer.headers["x-ratelimit-remaining-tokens"]) for answer in answers]
    # Each is charged its limit of 512 tokens until the actual number is known to be lower.
    assert 512 > tokens[0] > tokens[1] > tokens[2] > 400
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert others.status_code == 200
    assert "x-ratelimit-limit-requests" not in others.headers


PROMPT = [{"role": "user", "content": "word " * 4000}]


def limited_key(folder: Path, **limits: int) -> dict[str, Any]:
    """The API's settings with one limited key."""
    sha256 = hashlib.sha256(b"limited").hexdigest()
    entry = {"name": "app", "sha256": sha256, **limits}
    keys = folder / "keys.yaml"
    keys.write_text(json.dumps({"keys": [entry]}))
    return {"api": {"keys_file": str(keys)}}


LIMITED = {"Authorization": "Bearer limited"}


async def test_a_client_that_leaves_early_has_paid_for_its_prompt(tmp_path: Path) -> None:
    """Three long prompts, left after one event, cost the tokens that the engine computed."""
    simulation = {"ttft_ms": 0, "itl_ms": 60_000, "tokens": 1000, "jitter": 0}
    component = {"id": "a", "kind": "simulated", "simulation": simulation}
    config = {"name": "blend", "components": [component]}
    config |= limited_key(tmp_path, tokens_per_minute=100_000)
    body = {"model": "blend", "messages": PROMPT, "stream": True, "max_tokens": 100}
    async with rig(BlendConfig.model_validate(config)) as r:
        left = []
        for _ in range(4):
            async with r.client.stream(
                "POST", "/v1/chat/completions", json=body, headers=LIMITED
            ) as response:
                await anext(response.aiter_bytes())
                left.append(int(response.headers["x-ratelimit-remaining-tokens"]))
            await eventually(lambda: len(r.records) == len(left))

    # A word of four letters and a space is at least one token.
    spent = [before - after for before, after in pairwise(left)]
    assert all(4000 < tokens < 8000 for tokens in spent)


async def test_requests_that_run_at_once_cannot_spend_a_limit_twice(tmp_path: Path) -> None:
    """Their highest cost is charged when they begin, so that the limit holds for all together."""
    simulation = {"ttft_ms": 60_000, "itl_ms": 0, "tokens": 4}
    component = {"id": "a", "kind": "simulated", "simulation": simulation}
    config = {"name": "blend", "components": [component]}
    config |= limited_key(tmp_path, tokens_per_minute=1000)
    async with rig(BlendConfig.model_validate(config)) as r:
        asked = [asyncio.create_task(r.chat(headers=LIMITED, max_tokens=400)) for _ in range(20)]
        await eventually(lambda: len(r.refusals) == 17)
        await eventually(lambda: r.components["a"].running == 3)
        for task in asked:
            task.cancel()
        await asyncio.wait(asked)

    assert set(r.refusals) == {(429, "rate_limit_exceeded")}


async def test_a_response_that_nobody_gave_costs_nothing(tmp_path: Path) -> None:
    """The charge is given back when no component answers, or one refuses."""
    config = {
        "name": "blend",
        "components": [
            {"id": "far", "kind": "remote", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
        ],
        **limited_key(tmp_path, tokens_per_minute=10_000),
    }
    async with rig(BlendConfig.model_validate(config)) as r:
        answers = [await r.chat(headers=LIMITED) for _ in range(30)]

    assert {answer.status_code for answer in answers} == {503}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/a"),
        ("GET", "/v1/records/chatcmpl-1"),
        ("GET", "/openapi.json"),
        ("GET", "/version"),
        ("GET", "/v1/nowhere"),
        ("POST", "/v1/feedback"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
    ],
)
async def test_every_request_of_a_key_counts(tmp_path: Path, method: str, path: str) -> None:
    """Requests to any path count, whether valid or not."""
    config = blend("a", **limited_key(tmp_path, requests_per_minute=2))
    async with rig(config) as r:
        answers = [await r.client.request(method, path, headers=LIMITED) for _ in range(3)]
        probes = ("/healthz", "/health", "/ping")
        health = [await r.client.get(probe, headers=LIMITED) for probe in probes]

    assert [answer.status_code == 429 for answer in answers] == [False, False, True]
    assert int(answers[2].headers["retry-after"]) > 0
    assert [answer.status_code for answer in health] == [200] * 3
