"""What a policy adds to the router's time for a request: the router in process, without a network.

Requests go to the router's ASGI application, and its questions to a session that answers with a
stream of 64 tokens, one chunk each. Blends with and without a policy take turns, so that a machine
that becomes slower is slower for both.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from starlette.types import ASGIApp

from blended.config import BlendConfig
from blended.folders import STATE_DIR_ENV
from blended.internal import INTERNAL_KEY_ENV
from blended.learning.fit import fit
from blended.learning.policy_files import FOLDER, write
from blended.router.access.gate import access
from blended.router.api import Api
from blended.router.blend import CLIENT_KEY_ENV, resolve
from loadtests.harness.simulated_upstream import TOKENS, frame
from loadtests.studies.policies.messages import NAMES, REWARD, World

_REQUESTS = 100
_KEY = "study"
_ENVIRON = {CLIENT_KEY_ENV: _KEY, INTERNAL_KEY_ENV: _KEY}
_WORDS = (12, 128)
_TURNS = 4


def router_time(rounds: int) -> dict[str, Any]:
    """Processor microseconds of a request, medians of rounds; and what is added, in percent."""
    with _state():
        policy = fit(World(0.06).talk(500, np.random.default_rng(1)).rows(), _KEY, REWARD, 0.1)
        write(policy, Path(os.environ[STATE_DIR_ENV]) / FOLDER)
        kinds: dict[str, dict[str, Any]] = {
            "weights": {},
            "recall": {"recall": True},
            "policy": {"policy": policy.reference},
        }
        return {f"words_{words}": _compared(kinds, words, rounds) for words in _WORDS}


def _compared(kinds: Mapping[str, Mapping[str, Any]], words: int, rounds: int) -> dict[str, float]:
    apps = {name: _application(selection) for name, selection in kinds.items()}
    took: dict[str, list[float]] = {name: [] for name in kinds}
    with asyncio.Runner() as runner:
        for _ in range(rounds + 1):
            for name, app in apps.items():
                took[name].append(runner.run(_asked(app, words)))
    # The first round warms up.
    found = {name: float(np.median(seconds[1:])) * 1e6 for name, seconds in took.items()}
    added = {
        f"{name}_adds_percent": 100 * (found[name] / found["weights"] - 1)
        for name in kinds
        if name != "weights"
    }
    return {**{f"{name}_us": value for name, value in found.items()}, **added}


def _application(selection: Mapping[str, Any]) -> ASGIApp:
    components = [{"id": name, "kind": "simulated"} for name in NAMES]
    blend = BlendConfig.model_validate(
        {"name": "blend", "components": components, "selection": selection}
    )
    api = Api(lambda *_: None)
    api.use(resolve(blend, "http://nowhere", _ENVIRON), access(blend.api, _ENVIRON), None)
    api._session = _Session()  # type: ignore[assignment]  # the lifespan would open connections
    return api.application()


async def _asked(app: ASGIApp, words: int) -> float:
    """Processor seconds of a request, over some of them."""
    bodies = [_body(words, number) for number in range(_REQUESTS)]
    headers = [
        (b"authorization", f"Bearer {_KEY}".encode()),
        (b"content-type", b"application/json"),
    ]
    began = time.process_time()
    for number, body in enumerate(bodies):
        named = (b"x-conversation-id", b"%d" % number)
        await _post(app, body, [*headers, named])
    return (time.process_time() - began) / _REQUESTS


async def _post(app: ASGIApp, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    given, statuses = [{"type": "http.request", "body": body, "more_body": False}], list[int]()
    gone = asyncio.Event()

    async def receive() -> Any:
        if given:
            return given.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
    }
    await app(scope, receive, send)
    assert statuses == [200], statuses


def _body(words: int, number: int) -> bytes:
    text = " ".join(f"word{number + place}" for place in range(words))
    turn = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    messages = [*(turn * (_TURNS - 1)), turn[0]]
    return json.dumps({"model": "blend", "messages": messages, "stream": True}).encode()


class _Session:
    """In place of aiohttp's: every request is answered by the same stream."""

    def __init__(self) -> None:
        self._chunks = [*[frame()] * TOKENS, frame("stop"), b"data: [DONE]\n\n"]

    @asynccontextmanager
    async def post(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        content = SimpleNamespace(iter_any=self._iter_any)
        yield SimpleNamespace(status=200, headers={}, content=content, connection=None)

    async def _iter_any(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            await asyncio.sleep(0)
            yield chunk


@contextmanager
def _state() -> Iterator[None]:
    """A state folder of its own."""
    before = os.environ.get(STATE_DIR_ENV)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[STATE_DIR_ENV] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[STATE_DIR_ENV]
            else:
                os.environ[STATE_DIR_ENV] = before
