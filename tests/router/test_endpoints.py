"""The endpoints: the table of them, those without a key, and paths that lead to none."""

import asyncio
import gzip
import json
import time

import httpx
import pytest

import blended
from blended.config import BlendConfig
from blended.router import openapi
from blended.router.api import Api
from blended.router.endpoints import ENDPOINTS
from tests.support import CLIENT_KEY, HELLO, blend, rig

BODY = {"model": "blend", "messages": HELLO}


def test_the_table_has_every_route() -> None:
    """The router, the OpenAPI document and the page have the same endpoints."""
    listed = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    routes = Api(lambda *_: None).routes()
    routed = {
        (method, route.path)
        for route in routes
        for method in (route.methods or {"POST"}) - {"HEAD"}
        if not route.path.endswith("/")
    }
    paths = openapi.document(blend("a"), ["a"])["paths"]
    described = {
        (method.upper(), path)
        for path, operations in paths.items()
        for method in operations
        if method != "parameters"
    }

    assert listed == routed == described


@pytest.mark.parametrize("path", ["/healthz", "/health", "/ping"])
async def test_probes_need_no_key(path: str) -> None:
    """They learn that the router runs, even before its first configuration, and nothing else."""
    async with rig(blend("a")) as r, httpx.AsyncClient(base_url=r.url) as stranger:
        r.api.access = None
        response = await stranger.get(path)

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_the_version_needs_a_key() -> None:
    """It has vLLM's shape; a stranger could look up the weaknesses of a version."""
    async with rig(blend("a")) as r, httpx.AsyncClient(base_url=r.url) as stranger:
        assert (await r.client.get("/version")).json() == {"version": blended.__version__}
        assert (await stranger.get("/version")).status_code == 401


async def test_a_slash_behind_models_changes_nothing() -> None:
    """Some clients put one there."""
    async with rig(blend("a")) as r:
        listed = await r.client.get("/v1/models")
        slashed = await r.client.get("/v1/models/")

    assert slashed.status_code == 200
    assert slashed.json() == listed.json()


def with_contexts(**tokens: int | None) -> BlendConfig:
    """A blend of simulated components; `z` is never drawn."""
    components = [
        {"id": name, "kind": "simulated", "context_tokens": count} for name, count in tokens.items()
    ]
    weights = {name: 0 if name == "z" else 1 for name in tokens}
    config = {"name": "blend", "components": components, "selection": {"weights": weights}}
    return BlendConfig.model_validate(config)


@pytest.mark.parametrize(
    ("tokens", "of_blend"),
    [
        ({"a": 4096, "b": 2048}, 2048),
        ({"a": 4096, "b": None}, None),
        ({"a": 4096, "z": 512}, 4096),
        ({"a": 4096, "z": None}, 4096),
    ],
)
async def test_models_have_their_context_and_their_time(
    tokens: dict[str, int | None], of_blend: int | None
) -> None:
    """The blend has the smallest context that may be drawn, and none if one is unknown."""
    began = int(time.time())
    async with rig(with_contexts(**tokens)) as r:
        listed = (await r.client.get("/v1/models")).json()["data"]

    assert [entry.get("max_model_len") for entry in listed] == [of_blend, *tokens.values()]
    assert all(began <= entry["created"] <= time.time() for entry in listed)


async def test_an_arm_counts_for_the_context_of_the_blend() -> None:
    """A component that only an experiment draws may get a history as well."""
    config = with_contexts(a=4096, z=512).model_dump(mode="json")
    config["experiments"] = [
        {
            "name": "small",
            "start": "2026-01-01",
            "end": "2036-01-01",
            "control": "a",
            "arms": [{"id": "a"}, {"id": "z", "weights": {"z": 1}}],
        }
    ]
    async with rig(BlendConfig.model_validate(config)) as r:
        entry = (await r.client.get("/v1/models/blend")).json()

    assert entry["max_model_len"] == 512


@pytest.mark.parametrize(
    ("method", "path", "remedy"),
    [
        ("POST", "/chat/completions", "add /v1 to the client's base URL"),
        ("POST", "/completions", "becomes /v1/completions"),
        ("GET", "/models", "add /v1"),
        ("GET", "/models/blend", "becomes /v1/models/blend"),
        ("POST", "/v1/v1/chat/completions", "this client adds /v1 itself"),
        ("POST", "/v1/chat/completions/chat/completions", "with nothing behind it"),
        ("POST", "/openai/deployments/blend/chat/completions", "base URL end in /v1"),
        ("POST", "/v1/chat/completions/", "without a slash at the end"),
        ("GET", "/v1/responses/chatcmpl-1", "GET /v1/records/chatcmpl-1 gives"),
        ("DELETE", "/v1/responses/resp_1", "GET /v1/records/resp_1 gives"),
        ("POST", "/v1/embeddings", "GET /openapi.json lists the endpoints"),
        ("GET", "/", "GET /openapi.json lists the endpoints"),
        ("POST", "/" + "x" * 9000, "GET /openapi.json lists the endpoints"),
    ],
)
async def test_a_path_that_is_none_leads_to_the_right_one(
    method: str, path: str, remedy: str
) -> None:
    """The usual mistakes in a base URL are named, with 404 in OpenAI's shape."""
    async with rig(blend("a")) as r:
        response = await r.client.request(method, path, json=BODY)

    message = response.json()["error"]["message"]
    assert response.status_code == 404
    assert message.startswith(f"There is nothing at {method} {path[:200]}; ")
    assert remedy in message
    assert len(message) < 500


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "gzip, identity"])
async def test_a_compressed_body_is_refused(path: str, coding: str) -> None:
    """415 names the coding; a router never decodes what a few bytes make large."""
    async with rig(blend("a")) as r:
        headers = {"Content-Encoding": coding}
        body = gzip.compress(json.dumps(BODY).encode())
        response = await r.client.post(path, content=body, headers=headers)
        plain = await r.chat(headers={"Content-Encoding": "identity"})

    assert response.status_code == 415
    assert f"'{coding}'; send it uncompressed" in response.json()["error"]["message"]
    assert response.headers["accept-encoding"] == "identity"
    assert plain.status_code == 200


async def test_an_answer_to_http_1_0_has_its_length() -> None:
    """Such a client need not know chunks, which only streams have."""
    async with rig(blend("a")) as r:
        host, port = r.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(BODY).encode()
        head = f"POST /v1/chat/completions HTTP/1.0\r\nx-api-key: {CLIENT_KEY}\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await reader.read()).decode()
        writer.close()

    headers, _, document = answer.partition("\r\n\r\n")
    assert f"content-length: {len(document)}" in headers
    assert "transfer-encoding" not in headers
    assert json.loads(document)["object"] == "chat.completion"
