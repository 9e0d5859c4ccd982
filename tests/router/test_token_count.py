"""How many tokens a request has, by the components that may answer it."""

import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from blended.config import BlendConfig
from blended.router.access.gate import access
from blended.router.api import Api
from blended.router.blend import resolve
from tests.support import CLIENT_KEY, ENVIRON, HELLO, serving

COUNTS = {"a": 40, "b": 60, "c": 900}


async def tokenize(request: Request) -> Response:
    """An engine's own count, or a failure of the one that cannot."""
    count = COUNTS[request.path_params["component"]]
    body = await request.json()
    assert body["messages"] == HELLO
    assert [tool["function"]["name"] for tool in body["tools"]] == ["look"]
    return JSONResponse({"count": count}) if count else Response(status_code=500)


async def counted(model: str, **weights: float) -> int:
    """The answer for a model of a blend of three engines with these weights."""
    engine = {"kind": "vllm", "engine": {"model": "demo:ember"}, "capabilities": ["tools"]}
    components = [{"id": name, **engine} for name in COUNTS]
    config = BlendConfig.model_validate(
        {"name": "blend", "components": components, "selection": {"weights": weights}}
    )
    routes = [Route("/components/{component}/tokenize", tokenize, methods=["POST"])]
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    api = Api(lambda *_: None)
    async with serving(Starlette(routes=routes)) as engines:
        api.use(resolve(config, engines, ENVIRON), access(config.api, ENVIRON), None)
        async with (
            serving(api.application()) as url,
            httpx.AsyncClient(base_url=url, timeout=30) as client,
        ):
            response = await client.post(
                "/v1/messages/count_tokens",
                json={"model": model, "messages": HELLO, "tools": tools},
                headers={"Authorization": f"Bearer {CLIENT_KEY}"},
            )
    assert response.status_code == 200, response.text
    found: dict[str, Any] = json.loads(response.text)
    assert found.keys() == {"input_tokens"}
    return int(found["input_tokens"])


async def test_the_largest_count_of_those_that_may_be_drawn_is_the_answer() -> None:
    """Any of them may get the request; one with weight 0 never does."""
    assert await counted("blend", a=1, b=1, c=0) == 60


async def test_a_components_id_asks_that_component() -> None:
    """It is the only one that may be drawn."""
    assert await counted("a", a=1, b=1, c=1) == 40


async def test_an_engine_that_does_not_count_is_estimated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its part of the answer is the router's estimate."""
    monkeypatch.setitem(COUNTS, "a", 0)

    assert 0 < await counted("a", a=1, b=1, c=1) < 40
