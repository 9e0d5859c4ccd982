"""The router's API, as a plain ASGI application in front of plain HTTP servers."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import httpx
import pytest

from blended.router.selection import normalise
from tests.support import CLIENT_KEY, HELLO, blend, events, remote_blend, rig, serving

REVEALED = {"api": {"reveal_component": True}}


async def test_a_chat_is_answered_by_one_component() -> None:
    """The response has OpenAI's form and names its component, and one component generated it."""
    async with rig(blend("a", "b", "c", **REVEALED)) as r:
        response = await r.chat()

        body = response.json()
        assert response.status_code == 200
        assert body["choices"][0]["message"]["role"] == "assistant"
        assert body["model"] == response.headers["x-blended-component"]
        assert body["usage"]["total_tokens"] > 0
        assert r.finished() == 1


async def test_a_stream_is_the_same_response_in_pieces() -> None:
    """SSE events end with [DONE], and usage comes when the client asks for it."""
    async with rig(blend("a", **REVEALED)) as r:
        response = await r.chat(stream=True, stream_options={"include_usage": True})

        *chunks, done = events(response.content)
        assert response.headers["content-type"].startswith("text/event-stream")
        assert done == "[DONE]"
        assert chunks[-1]["usage"]["completion_tokens"] == len(chunks) - 1
        assert r.finished() == 1


async def test_completions_are_answered_too() -> None:
    """The completions endpoint works in the same way."""
    async with rig(blend("a")) as r:
        body = {"model": "blend", "prompt": "Once"}
        response = await r.client.post("/v1/completions", json=body)
        odd = await r.client.post("/v1/completions", json=body | {"messages": [0.5]})

        assert (response.status_code, odd.status_code) == (200, 200)
        assert "simulated" in response.json()["choices"][0]["text"]


async def test_every_response_is_a_draw_of_its_own() -> None:
    """The same request, repeated, reaches every component."""
    async with rig(blend("a", "b", "c", **REVEALED)) as r:
        drawn = Counter([(await r.chat()).headers["x-blended-component"] for _ in range(60)])

        # Missing one of three in 60 draws: 3 * (2/3)^60, less than one in ten billion.
        assert set(drawn) == {"a", "b", "c"}
        assert r.finished() == 60


async def test_an_idempotency_key_repeats_the_draw() -> None:
    """The same key in the same turn reaches the same component; without it draws differ."""
    async with rig(blend("a", "b", "c", **REVEALED)) as r:
        same = {
            (await r.chat(headers={"Idempotency-Key": "k"})).headers["x-blended-component"]
            for _ in range(20)
        }

        assert len(same) == 1


async def test_weights_decide_and_weight_zero_is_left_out() -> None:
    """With all weight on one component, it answers every request."""
    config = blend("a", "b", selection={"weights": {"a": 0, "b": 2}}, **REVEALED)
    async with rig(config) as r:
        drawn = {(await r.chat()).headers["x-blended-component"] for _ in range(20)}

        assert drawn == {"b"}


async def test_a_component_can_be_asked_by_name() -> None:
    """A component's id is a model, even at weight 0: only that component answers."""
    config = blend("a", "b", selection={"weights": {"a": 0, "b": 2}}, **REVEALED)
    async with rig(config) as r:
        response = await r.chat(model="a")

        assert response.headers["x-blended-component"] == "a"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hidden_component_stays_hidden(stream: bool) -> None:
    """Unless the config reveals it, no header and no field names the component."""
    async with rig(blend("anna", "berta")) as r:
        response = await r.chat(stream=stream)

        assert b"anna" not in response.content
        assert b"berta" not in response.content
        assert b'"model":"blend"' in response.content
        assert "x-blended-component" not in response.headers


async def test_the_whole_history_reaches_the_component_whoever_wrote_it() -> None:
    """The component gets every message unchanged, without the name of the component behind it."""
    history = [
        {"role": "system", "content": "Be kind."},
        *HELLO,
        {"role": "assistant", "content": "Hi from another one!"},
        {"role": "user", "content": "And now?"},
    ]
    seen: dict[str, Any] = {}

    async def upstream(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        seen.update(json.loads((await receive())["body"]))
        seen["headers"] = dict(scope["headers"])
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = b'{"model": "upstream-model", "choices": [{}]}'
        await send({"type": "http.response.body", "body": body})

    async with serving(upstream) as url, rig(remote_blend(f"{url}/v1")) as r:
        response = await r.chat(messages=history)

    assert seen["messages"] == history
    assert seen["model"] == "upstream-model"
    assert seen["headers"][b"authorization"] == b"Bearer remote-key"
    assert response.json() == {"model": "blend", "choices": [{}]}


async def test_models_lists_the_blend_and_its_components() -> None:
    """The blend comes first with its distribution; a simulated component says that it is one."""
    async with rig(blend("a", "b", selection={"weights": {"a": 1, "b": 3}})) as r:
        listed = (await r.client.get("/v1/models")).json()["data"]

        assert [entry["id"] for entry in listed] == ["blend", "a", "b"]
        assert listed[0]["selection"] == {"a": 0.25, "b": 0.75}
        assert listed[1]["kind"] == "simulated"
        for entry in listed:
            assert (await r.client.get(f"/v1/models/{entry['id']}")).json() == entry


async def test_a_browsers_page_is_let_in_only_from_the_origins_of_the_config() -> None:
    """CORS is closed by default; a named origin may ask, and still needs a key."""
    preflight = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}
    for origins, allowed in (((), False), (("https://chat.example",), True)):
        async with rig(blend("a", api={"cors_origins": origins})) as r:
            async with httpx.AsyncClient(base_url=r.url, headers=preflight) as page:
                asked = await page.options("/v1/chat/completions")
                refused = await page.get("/v1/models")
            response = await r.chat(headers=preflight)

        assert asked.status_code == (200 if allowed else 403)
        assert refused.status_code == 401
        assert ("access-control-allow-origin" in response.headers) is allowed


async def test_without_keys_the_router_serves_only_where_the_config_says_so() -> None:
    """Only that option, named for its effect, opens the API."""
    async with (
        rig(blend("a", api={"dangerously_serve_without_keys": True})) as r,
        httpx.AsyncClient(base_url=r.url) as stranger,
    ):
        assert (await stranger.get("/v1/models")).status_code == 200


@pytest.mark.parametrize("key", [None, "", "Bearer", "Bearer wrong", f"Basic {CLIENT_KEY}"])
async def test_nothing_answers_without_the_key(key: str | None) -> None:
    """Every path but the health checks gives 401 in OpenAI's shape for any request."""
    async with rig(blend("a")) as r:
        headers = {} if key is None else {"Authorization": key}
        async with httpx.AsyncClient(base_url=r.url, headers=headers) as stranger:
            for path in ("/v1/models", "/v1/models/a", "/nowhere", "/v1/chat/completions"):
                response = await stranger.get(path)
                assert response.status_code == 401
                assert response.json()["error"]["code"] == "invalid_api_key"
                assert response.headers["www-authenticate"] == "Bearer"
            posted = await stranger.post("/v1/chat/completions", json={"model": "blend"})
            assert posted.status_code == 401
            assert (await stranger.get("/healthz")).json() == {"status": "ok"}
        assert r.finished() == 0


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/chat/completions", 404, "model_not_found"),
        ("GET", "/v1/models/nobody", 404, "model_not_found"),
        ("GET", "/v1/nowhere", 404, None),
        ("GET", "/v1/chat/completions", 405, None),
    ],
)
async def test_errors_have_openais_shape(method: str, path: str, status: int, code: Any) -> None:
    """Unknown models, paths and methods give an error object with its type."""
    async with rig(blend("a")) as r:
        body = {"model": "nobody", "messages": HELLO}
        response = await r.client.request(method, path, json=body)

        assert response.status_code == status
        error = response.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert error["code"] == code
        assert error["message"]


@pytest.mark.parametrize("model", [None, "", 7, ["blend"]])
async def test_a_request_without_a_model_is_refused(model: Any) -> None:
    """A missing or wrong model gives 400, and the message names a valid one."""
    async with rig(blend("a")) as r:
        response = await r.chat(model=model)

        assert response.status_code == 400
        assert "'blend'" in response.json()["error"]["message"]


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"model": "blend"}'])
async def test_a_malformed_body_is_the_clients_error(content: bytes) -> None:
    """A body that is not a chat request gives 400, never 500, and reaches no component."""
    async with rig(blend("a")) as r:
        response = await r.client.post("/v1/chat/completions", content=content)

        assert response.status_code == 400
        assert response.json()["error"]["message"]
        assert r.finished() == 0


async def test_a_body_of_any_depth_is_answered_or_refused() -> None:
    """A nested body is passed on or refused with 400, and marks no component as failing."""
    async with rig(blend("a")) as r:
        for depth in (50, 98, 99, 100, 500, *range(850, 1010, 10), 100_000):
            nested = "[" * depth + "]" * depth
            body = json.dumps({"model": "blend", "messages": HELLO, "metadata": "@"})
            content = body.replace('"@"', nested).encode()
            response = await r.client.post("/v1/chat/completions", content=content)

            assert response.status_code == (200 if depth < 100 else 400), f"depth {depth}"


async def test_a_body_over_the_limit_is_refused() -> None:
    """A body over the configured size gives 413 with the limit, before it fills memory."""
    async with rig(blend("a", api={"max_body_bytes": 2048})) as r:
        response = await r.chat(messages=[{"role": "user", "content": "x" * 4096}])

        assert response.status_code == 413
        assert "2048" in response.json()["error"]["message"]


async def test_halves_of_characters_become_the_mark_for_what_is_no_character() -> None:
    """Lone surrogates, which JSON can carry and engines cannot encode, reach no component."""
    async with rig(blend("a")) as r:
        body = b'{"model": "blend", "messages": [{"role": "user", "content": "\\ud800"}]}'
        response = await r.client.post("/v1/chat/completions", content=body)
        nobody = body.replace(b"blend", b"\\ud800")
        unknown = await r.client.post("/v1/chat/completions", content=nobody)

        assert response.status_code == 200
        assert unknown.status_code == 404
        assert "'\ufffd'" in unknown.json()["error"]["message"]


async def test_a_change_of_the_blend_takes_effect_with_the_next_request() -> None:
    """Swapping the blend changes the draw at once, without a restart."""
    async with rig(blend("a", "b", **REVEALED)) as r:
        assert r.api.blend is not None
        assert r.api.access is not None
        changed = replace(r.api.blend, distribution=normalise({"a": 0, "b": 1}))
        r.api.use(changed, r.api.access, None)
        drawn = {(await r.chat()).headers["x-blended-component"] for _ in range(12)}

        assert drawn == {"b"}


async def test_before_its_first_configuration_the_router_asks_to_try_again() -> None:
    """Without a blend the API answers 503 with Retry-After, and its health check succeeds."""
    async with rig(blend("a")) as r:
        r.api.access = None
        response = await r.chat()

        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
