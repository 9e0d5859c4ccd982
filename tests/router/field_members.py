"""Members that keep the bodies they receive, for tests of the fields that reach them."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from blended.config import BlendConfig
from tests.router.upstreams.member import GOOD, GOOD_STREAM, JSON, SSE
from tests.support import Rig, body_of, rig, serving

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def with_enum(count: int) -> dict[str, Any]:
    """A response format with `count` values in an enum."""
    schema = {"enum": [f"value-{n}" for n in range(count)]}
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


@asynccontextmanager
async def members(**passthrough: tuple[str, ...]) -> AsyncIterator[tuple[Rig, list[Any]]]:
    """A router with one member for each argument, and the bodies that the members receive."""
    seen = list[Any]()

    async def member(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            seen.append(json.loads(await body_of(receive)))
        if scope["type"] == "http":
            is_stream = bool(seen) and seen[-1].get("stream")
            headers = [SSE if is_stream else JSON]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": GOOD_STREAM if is_stream else GOOD})

    async with serving(member) as url:
        components = [
            {"id": name, "kind": "remote", "base_url": url, "model": name, "passthrough": listed}
            | {"dialect": "vllm"}
            for name, listed in passthrough.items()
        ]
        config = BlendConfig.model_validate({"name": "blend", "components": components})
        async with rig(config) as r:
            yield r, seen


def error(response: httpx.Response) -> Mapping[str, str]:
    assert response.status_code == 400, response.text
    found: Mapping[str, str] = response.json()["error"]
    return found
