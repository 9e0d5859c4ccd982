"""Routers with look-ahead before the same engines, which keep the requests that they got."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from blended import sse
from blended.config import BlendConfig
from blended.journal.records import ResponseRecord
from blended.router.access.gate import access
from blended.router.access.rate_limits import Limiter
from blended.router.api import Api
from blended.router.blend import resolve
from blended.router.shared_store import SharedStore
from tests.support import CLIENT_KEY, ENVIRON, body_of, eventually, serving

# A store may be slow while other tests run.
_PATIENCE_S = 10
ENGINE = {"model": "demo:ember", "accelerator": "cpu", "max_model_len": 4096}


@dataclass
class Engines:
    """Engines below /components/, which say their name; they keep the requests that they got.

    Responses end for the reason `finish`. `statuses` are those of readings, and `held` the engines
    whose readings wait for `release`: `holding` counts them, `cut` those whose router has left.
    Responses wait for `answering`. `traced` are the engines that got the trace of a reading.
    """

    finish: str = "stop"
    statuses: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    traced: set[str] = field(default_factory=set)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    holding: int = 0
    cut: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await body_of(receive)
        name = scope["path"].split("/")[2]
        status, said = 200, b'{"data": []}'
        if body:
            request = json.loads(body)
            self.asked.append((name, request))
            if is_reading(request):
                status = self.statuses.get(name, 200)
                self.traced |= {name} if "traceparent" in dict(_headers(scope)) else set()
                await self.hold(name, receive)
            else:
                await self.answering.wait()
            said = answer(name, self.finish, bool(request.get("stream")))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": said})

    async def hold(self, name: str, receive: Receive) -> None:
        if name not in self.held:
            return
        self.holding += 1
        gone = asyncio.ensure_future(receive())
        released = asyncio.ensure_future(self.release.wait())
        await asyncio.wait({gone, released}, return_when=asyncio.FIRST_COMPLETED)
        self.holding -= 1
        self.cut += gone.done()

    def answered(self) -> list[tuple[str, dict[str, Any]]]:
        return [(name, request) for name, request in self.asked if not is_reading(request)]

    def read(self) -> list[tuple[str, dict[str, Any]]]:
        return [(name, request) for name, request in self.asked if is_reading(request)]


def is_reading(request: dict[str, Any]) -> bool:
    return request.get("max_tokens") == 1


def _headers(scope: Scope) -> Iterator[tuple[str, str]]:
    return ((name.decode(), value.decode()) for name, value in scope["headers"])


def answer(name: str, finish: str, is_stream: bool) -> bytes:
    message = {"role": "assistant", "content": f"I am {name}."}
    usage = {
        "prompt_tokens": 30,
        "completion_tokens": 4,
        "total_tokens": 34,
        "prompt_tokens_details": {"cached_tokens": 16},
    }
    whole: dict[str, Any] = {"id": "x", "model": name, "usage": usage}
    if not is_stream:
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return json.dumps(whole | {"choices": [choice]}).encode()
    pieces: list[Any] = [
        {"delta": {"role": "assistant", "content": "I am "}},
        {"delta": {"content": f"{name}."}},
        {"delta": {}, "finish_reason": finish},
    ]
    choices = [*([{"index": 0, "finish_reason": None, **piece}] for piece in pieces), []]
    events = [{"id": "x", "model": name, "choices": one} for one in choices]
    events[-1] |= whole
    return b"".join(map(sse.encode, events)) + sse.encode_data(sse.DONE)


def config(
    *names: str,
    weights: Any = None,
    store: str = "memory://",
    keys: str | None = None,
    **more: Any,
) -> BlendConfig:
    """A blend of engines whose context is large; `more` are further fields of each."""
    engine = {"kind": "vllm", "engine": ENGINE, **more}
    components = [{"id": name, **engine} for name in names or "abc"]
    selection = {"look_ahead": True, **({"weights": weights} if weights else {})}
    api = {"reveal_component": True, "shared_store": store, **({"keys_file": keys} if keys else {})}
    fields = {"name": "blend", "components": components, "selection": selection, "api": api}
    return BlendConfig.model_validate(fields)


@dataclass
class Routers:
    """Routers before the same engines, asked in turns; `seen` is what they count."""

    engines: Engines
    engines_url: str
    apis: list[Api]
    clients: list[httpx.AsyncClient]
    records: list[ResponseRecord]
    seen: Counter[tuple[str | None, str]]

    async def ask(
        self, messages: list[Any], name: str = "", number: int = 0, key: str | None = None
    ) -> dict[str, Any]:
        """The message that answers, in the conversation `name`, from the router of this number."""
        headers = {"Idempotency-Key": key} if key else {}
        body = {"model": "blend", "messages": messages, "prompt_cache_key": name}
        client = self.clients[number % len(self.clients)]
        response = await client.post("/v1/chat/completions", json=body, headers=headers)
        assert response.status_code == 200, response.text
        await self.settled()
        message: dict[str, Any] = response.json()["choices"][0]["message"]
        return message

    async def until_read(
        self, messages: list[Any], path: str = "/v1/chat/completions", **fields: Any
    ) -> dict[str, Any]:
        """Begin conversations until the next turn of one is another component's to read."""
        for _ in range(60):
            body = {"model": "blend", "messages": messages, **fields}
            response = await self.clients[0].post(path, json=body)
            assert response.status_code == 200, response.text
            await self.settled()
            if found := self.engines.read():
                return found[0][1]
        raise AssertionError("nothing was read; the odds of this are below one in a million")

    async def settled(self) -> None:
        """Wait until nothing is under way but the readings that engines hold."""
        ahead = [api.look_ahead for api in self.apis]
        await eventually(lambda: sum(a.under_way for a in ahead) == self.engines.holding)

    def use(self, blend: BlendConfig) -> None:
        """Change the blend of all routers, as a live change does."""
        for api in self.apis:
            assert api.access is not None
            api.use(resolve(blend, self.engines_url, ENVIRON), api.access, None)

    async def talk(self, turns: int, name: str = "") -> None:
        """A conversation of so many turns, each at the next router."""
        messages: list[Any] = []
        for turn in range(turns):
            messages.append({"role": "user", "content": f"Question {turn}."})
            messages.append(await self.ask(messages, name, turn))


@asynccontextmanager
async def routers(blend: BlendConfig, count: int = 1) -> AsyncIterator[Routers]:
    engines, records = Engines(), list[ResponseRecord]()
    engines.answering.set()
    seen, apis, clients = Counter[tuple[str | None, str]](), list[Api](), list[httpx.AsyncClient]()

    def counted(component: str | None, outcome: str, by: int) -> None:
        seen[component, outcome] += by

    async with AsyncExitStack() as stack:
        engines_url = await stack.enter_async_context(serving(engines))
        for _ in range(count):
            api = Api(lambda record, _: records.append(record), on_look_ahead=counted)
            store = SharedStore(blend.api.shared_store, _PATIENCE_S)
            granted = replace(access(blend.api, ENVIRON), limiter=Limiter(store), store=store)
            api.use(resolve(blend, engines_url, ENVIRON), granted, None)
            url = await stack.enter_async_context(serving(api.application()))
            headers = {"Authorization": f"Bearer {CLIENT_KEY}"}
            client = httpx.AsyncClient(base_url=url, headers=headers, timeout=30)
            apis.append(api)
            clients.append(await stack.enter_async_context(client))
        yield Routers(engines, engines_url, apis, clients, records, seen)
