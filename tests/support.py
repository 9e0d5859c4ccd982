"""Plain HTTP servers and a router in front of them, all in the test's own event loop."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive

from blended import sse
from blended.components.reward_model import RewardServer, described, simulated_scorer
from blended.components.simulated import Simulated
from blended.config import BlendConfig, SimulatedComponent, SimulatedReward
from blended.internal import INTERNAL_KEY_ENV, REWARD_PREFIX
from blended.journal.journal import Journal
from blended.journal.records import ResponseRecord
from blended.router.access.gate import access
from blended.router.api import Api
from blended.router.blend import CLIENT_KEY_ENV, resolve

CLIENT_KEY = "client-key"
INTERNAL_KEY = "internal-key"
ENVIRON = {
    CLIENT_KEY_ENV: CLIENT_KEY,
    INTERNAL_KEY_ENV: INTERNAL_KEY,
    "REMOTE_KEY": "remote-key",
}
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello!"}]


@dataclass(frozen=True)
class Rig:
    """A running router, the simulated components behind it, and a client with the key.

    `reward` is the reward model, if the blend has a simulated one. `records` is what the router
    said of each response, `refusals` of requests that got none, `policies` of draws by policies.
    """

    url: str
    api: Api
    components: Mapping[str, Simulated]
    reward: RewardServer | None
    client: httpx.AsyncClient
    records: list[ResponseRecord]
    refusals: list[tuple[int, str | None]]
    policies: list[tuple[str, str]]

    async def chat(self, model: str = "blend", **fields: Any) -> httpx.Response:
        """Post one chat request; `fields` are added to a minimal body or replace parts of it."""
        headers = fields.pop("headers", {})
        body = {"model": model, "messages": HELLO, **fields}
        return await self.client.post("/v1/chat/completions", json=body, headers=headers)

    def finished(self) -> int:
        """How many responses the components have generated to the end."""
        return sum(component.finished for component in self.components.values())


def blend(*names: str, **fields: Any) -> BlendConfig:
    """A blend of simulated components that answer at once with about four words."""
    simulation = {"ttft_ms": 0, "itl_ms": 0, "tokens": 4}
    components = [{"id": name, "kind": "simulated", "simulation": simulation} for name in names]
    return BlendConfig.model_validate({"name": "blend", "components": components, **fields})


def remote_blend(url: str, **timeouts: float) -> BlendConfig:
    """A blend of one remote component at `url`."""
    component = {
        "id": "far",
        "kind": "remote",
        "base_url": url,
        "model": "upstream-model",
        "api_key_env": "REMOTE_KEY",
        "timeouts": timeouts,
    }
    return BlendConfig.model_validate({"name": "blend", "components": [component]})


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an ASGI application on a free port of the loopback interface; yields its URL."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_level="critical",
        ws="none",
        timeout_graceful_shutdown=0,  # what is under way is cancelled; the lifespan still ends
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
        assert not task.done(), "the server did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def rig(config: BlendConfig, journal: Journal | None = None) -> AsyncIterator[Rig]:
    """A router for `config`, with its simulated components served as Ray Serve would."""
    simulated = [c for c in config.components if isinstance(c, SimulatedComponent)]
    components = {c.id: Simulated(c.id, c.simulation, INTERNAL_KEY) for c in simulated}
    mounts = [Mount(f"/components/{n}", app=c.application()) for n, c in components.items()]
    if (reward := _reward(config)) is not None:
        mounts.append(Mount(REWARD_PREFIX, app=reward.application()))
    records, refusals = list[ResponseRecord](), list[tuple[int, str | None]]()
    asked = list[tuple[str, str]]()
    api = Api(
        lambda record, _: records.append(record),
        lambda *refusal: refusals.append(refusal),
        on_policy=lambda *came: asked.append(came),
    )
    async with AsyncExitStack() as stack:
        components_url = await stack.enter_async_context(serving(Starlette(routes=mounts)))
        api.use(resolve(config, components_url, ENVIRON), access(config.api, ENVIRON), journal)
        url = await stack.enter_async_context(serving(api.application()))
        headers = {"Authorization": f"Bearer {CLIENT_KEY}"}
        client = httpx.AsyncClient(base_url=url, headers=headers, timeout=30)
        await stack.enter_async_context(client)
        yield Rig(url, api, components, reward, client, records, refusals, asked)


def _reward(config: BlendConfig) -> RewardServer | None:
    """The simulated reward model of a blend."""
    found = config.reward
    if not isinstance(found, SimulatedReward):
        return None
    score, version = simulated_scorer(found.correlation), described(found.correlation)
    return RewardServer(score, version, INTERNAL_KEY, wait_s=found.ms / 1e3)


async def body_of(receive: Receive) -> bytes:
    """The whole body of a request to an ASGI application."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def eventually(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    """Wait until `condition` holds; fails after `timeout_s`, which a healthy run never needs."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - it watches counters that know no events
            await asyncio.sleep(0.005)


def events(body: bytes) -> list[Any]:
    """The decoded data of an SSE body; `[DONE]` stays a text."""
    found = [event.data for event in sse.events([body])]
    return [data.decode() if data == sse.DONE else json.loads(data) for data in found]
