"""Which prefix cache a request uses, by a fake engine that caches whole prompts like vLLM."""

import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from blended.config import BlendConfig
from blended.internal import INTERNAL_KEY_ENV
from blended.journal.journal import Journal
from blended.router.access.gate import access
from blended.router.api import Api
from blended.router.blend import resolve
from blended.router.cache_salt import salt, without_cached
from tests.journal.journals import journal
from tests.support import ENVIRON, HELLO, events, serving

DETAILS = "prompt_tokens_details"


class Engine:
    """Answers chats; reports the cached tokens of a prompt seen before with the same salt."""

    def __init__(self) -> None:
        self.salts = list[str | None]()
        self._cache = set[tuple[str | None, str]]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body: Any = {}
        if scope["method"] == "POST":
            body = json.loads((await receive())["body"])
        kind = b"text/event-stream" if body.get("stream") else b"application/json"
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._answer(body)})

    def _answer(self, body: Any) -> bytes:
        prompt = body.get("cache_salt"), json.dumps(body.get("messages"))
        cached = 96 if prompt in self._cache else 0
        self._cache.add(prompt)
        if body:  # not a health check
            self.salts.append(prompt[0])
        usage = {"prompt_tokens": 117, "completion_tokens": 1, "total_tokens": 118}
        details = {DETAILS: {"cached_tokens": cached, "audio_tokens": None}}
        said = {"role": "assistant", "content": "Hi"}
        choices = [{"index": 0, "message": said, "delta": said, "finish_reason": "stop"}]
        document = {"id": "chatcmpl-1", "model": "a", "choices": choices, "usage": usage | details}
        text = json.dumps(document)
        return f"data: {text}\n\ndata: [DONE]\n\n".encode() if body.get("stream") else text.encode()


def config(kind: str, url: str, **api: Any) -> BlendConfig:
    """A blend of one component: an engine of this deployment, or a remote API."""
    member = {"id": "a", "kind": "remote", "base_url": f"{url}/v1", "model": "a"}
    engine = {"id": "a", "kind": "vllm", "engine": {"model": "demo:ember"}}
    component = engine if kind == "vllm" else member
    return BlendConfig.model_validate({"name": "blend", "components": [component], "api": api})


class Front:
    """The blend's API, and the cached tokens that it reports to a key."""

    def __init__(self, client: httpx.AsyncClient, engine: Engine) -> None:
        self.client, self.engine = client, engine

    async def cached(self, key: str, stream: bool = False, user: str | None = None) -> Any:
        """The cached tokens that a client with this key sees; None if the API hides them."""
        body = {"model": "blend", "messages": HELLO, "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        headers = {"Authorization": f"Bearer {key}", **({"X-User-ID": user} if user else {})}
        response = await self.client.post("/v1/chat/completions", json=body, headers=headers)
        assert response.status_code == 200, response.text
        document = events(response.content)[0] if stream else response.json()
        assert document["usage"]["total_tokens"] == 118
        return (document["usage"][DETAILS] or {}).get("cached_tokens")


@asynccontextmanager
async def front(
    folder: Path, kind: str = "vllm", kept: Journal | None = None, **settings: Any
) -> AsyncIterator[Front]:
    """A router with the keys `one` and `two`, in front of a fake engine."""
    entries = [
        {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest()}
        for name in ("one", "two")
    ]
    keys = folder / "keys.yaml"
    keys.write_text(json.dumps({"keys": entries}))
    if "dangerously_serve_without_keys" not in settings:
        settings["keys_file"] = str(keys)
    engine, api = Engine(), Api(lambda *_: None)
    async with serving(engine) as url:
        blend = config(kind, url, **settings)
        api.use(resolve(blend, url, ENVIRON), access(blend.api, ENVIRON), kept)
        async with (
            serving(api.application()) as address,
            httpx.AsyncClient(base_url=address, timeout=30) as client,
        ):
            yield Front(client, engine)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_meets_its_own_cache_and_no_other(tmp_path: Path, stream: bool) -> None:
    """A repeated prompt is cached for the key that sent it, and new for another."""
    async with front(tmp_path) as f:
        told = [await f.cached(key, stream) for key in ("one", "one", "two", "two", "one")]

    assert told == [0, 96, 0, 96, 96]
    assert len(set(f.engine.salts)) == 2
    assert all(salt and len(salt) == 64 for salt in f.engine.salts)


async def test_users_of_a_key_are_kept_apart_on_request(tmp_path: Path) -> None:
    """With `user` each user has a cache; requests that name none share that of the key."""
    users = ["ada", "ada", "bob", None, None, "ada"]
    async with front(tmp_path, cache_salt="user") as f:
        told = [await f.cached("one", user=user) for user in users]
        other = await f.cached("two", user="ada")

    assert told == [0, 96, 0, 0, 96, 96]
    assert other == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_shared_cache_is_nobodys_to_hear_of(tmp_path: Path, stream: bool) -> None:
    """With `none` the engine caches for all, and usage does not report it."""
    async with front(tmp_path, cache_salt="none") as f:
        told = [await f.cached(key, stream) for key in ("one", "two")]

    assert told == [None, None]
    assert f.engine.salts == [None, None]


async def test_without_keys_nobody_hears_of_the_cache(tmp_path: Path) -> None:
    """All clients then have one key, though they do not know each other."""
    async with front(tmp_path, dangerously_serve_without_keys=True) as f:
        told = [await f.cached("whatever") for _ in range(2)]

    assert told == [None, None]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_members_cache_is_that_of_its_account(tmp_path: Path, stream: bool) -> None:
    """A remote API gets no salt, and its usage tells a client nothing of other clients' prompts."""
    async with front(tmp_path, kind="remote") as f:
        told = [await f.cached("one", stream), await f.cached("two", stream)]

    assert told == [None, None]
    assert f.engine.salts == [None, None]


@pytest.mark.parametrize(("salt", "is_told"), [("key", True), ("none", False)])
async def test_a_record_tells_no_more_than_the_response(
    tmp_path: Path, salt: str, is_told: bool
) -> None:
    """The journal keeps cached tokens; a client reads them only for a cache of its own."""
    with journal(tmp_path) as kept:
        async with front(tmp_path, kept=kept, cache_salt=salt) as f:
            await f.cached("one")
            body = {"model": "blend", "messages": HELLO}
            headers = {"Authorization": "Bearer one"}
            answer = await f.client.post("/v1/chat/completions", json=body, headers=headers)
            path = f"/v1/records/{answer.headers['x-blended-response-id']}"
            deadline = time.monotonic() + 20
            record = await f.client.get(path, headers=headers)
            while record.status_code != 200 and time.monotonic() < deadline:
                record = await f.client.get(path, headers=headers)

    assert record.json().get("cached_tokens") == (96 if is_told else None)
    assert ("cached_tokens" in record.json()) is is_told


def test_salts_follow_from_the_deployments_secret(tmp_path: Path) -> None:
    """A salt cannot be computed from a key's name without the secret."""
    blend = config("vllm", "http://127.0.0.1:9")
    secrets = ("a", "b")
    upstreams = [
        resolve(blend, "", ENVIRON | {INTERNAL_KEY_ENV: secret}).upstreams["a"]
        for secret in secrets
    ]
    salts = {salt(upstream, blend.api, "one", None) for upstream in upstreams}

    assert len(salts) == 2
    assert salt(upstreams[0], blend.api, "one", None) in salts
    assert not any(s in repr(u) for s in ("secret='a'", "secret='b'") for u in upstreams)


@pytest.mark.parametrize(
    "usage",
    [
        {DETAILS: {"cached_tokens": 96, "audio_tokens": 0}},
        {"prompt_cache_hit_tokens": 96, "prompt_cache_miss_tokens": 21},
        {"cache_read_input_tokens": 96, "cache_creation_input_tokens": 0},
        {"cached_tokens": 96},
    ],
)
def test_what_was_cached_is_taken_out_by_any_of_its_names(usage: dict[str, Any]) -> None:
    """A text that looks like one of these fields stays as it is."""
    text = 'say "prompt_tokens_details": {"cached_tokens": 96}'
    document = {"text": text, "usage": {"prompt_tokens": 117, **usage}}
    for separators in ((",", ":"), (", ", ": ")):
        shown = json.loads(without_cached(json.dumps(document, separators=separators).encode()))

        assert shown["text"] == text
        assert shown["usage"] == {"prompt_tokens": 117, **dict.fromkeys(usage)}
