"""A simulated component: an OpenAI-compatible ASGI application that has timing and no model.

It rehearses load and does not chat: its model entry and its words say that it is simulated.
"""

import asyncio
import json
import math
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from blended import sse
from blended.components.internal_key import Guard
from blended.components.simulated_answers import Spoken, spoken, whole
from blended.components.simulated_quality import planted
from blended.config import Simulation
from blended.disconnect import finishes_before_disconnect

_WORD = " simulated"


@dataclass(frozen=True)
class TokenSchedule:
    """The random draws for one response: for each token the factor of its time over the mean."""

    lateness: tuple[float, ...]
    finish_reason: str

    @property
    def tokens(self) -> int:
        """The number of tokens of the response."""
        return len(self.lateness)


def plan(
    simulation: Simulation,
    rng: random.Random,
    max_tokens: int | None,
    answer: Spoken | None = None,
) -> TokenSchedule:
    """Draw a response's length unless its answer has one, cut it, and draw its times."""
    length = _geometric(simulation.tokens, rng) if answer is None else len(answer.deltas)
    end = "stop" if answer is None else answer.finish_reason
    cut = max_tokens is not None and max_tokens < length
    tokens = max(1, max_tokens) if cut and max_tokens is not None else length
    lateness = tuple(islice(_log_normal(simulation.jitter, rng), tokens))
    return TokenSchedule(lateness, "length" if cut else end)


def mean_s(simulation: Simulation, first: bool, running: int, prompt: int) -> float:
    """Mean seconds until the first token, or between two, with `running` responses at once."""
    if not first:
        return (simulation.itl_ms + simulation.itl_ms_per_running * running) / 1e3
    load = simulation.ttft_ms_per_running * running
    return (simulation.ttft_ms + load + simulation.ttft_ms_per_prompt_token * prompt) / 1e3


class Simulated:
    """One `replica` of the component `name`; requests must have the internal `key`.

    `running`, `waiting`, `finished` and `cancelled` count responses, for tests and for scaling.
    """

    def __init__(
        self, name: str, simulation: Simulation, key: str, replica: str | None = None
    ) -> None:
        self._name = name
        self._key, self._replica = key, replica
        self._simulation = simulation
        self._rng = random.Random(simulation.seed)
        self._slots = asyncio.Semaphore(simulation.concurrency)
        self.running = self.waiting = self.finished = self.cancelled = 0

    def application(self) -> ASGIApp:
        """The ASGI application, with the paths that vLLM has."""
        routes = [
            Route("/health", self._health),
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._complete, methods=["POST"]),
        ]
        return Guard(Starlette(routes=routes), self._key, self._replica)

    async def _health(self, _: Request) -> Response:
        return Response()

    async def _models(self, _: Request) -> Response:
        entry = {"id": self._name, "object": "model", "owned_by": "blended", "simulated": True}
        return JSONResponse({"object": "list", "data": [entry]})

    async def _chat(self, request: Request) -> Any:
        return await self._respond(request, "chat.completion")

    async def _complete(self, request: Request) -> Any:
        return await self._respond(request, "text_completion")

    async def _respond(self, request: Request, kind: str) -> Any:
        body = await request.json()
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        prefix = "chatcmpl" if kind == "chat.completion" else "cmpl"
        # vLLM, too, takes the request's id.
        name = f"{prefix}-{request.headers.get('x-request-id') or uuid.uuid4().hex}"
        answer = spoken(body)
        count = 1 if body.get("stream") else body.get("n") or 1
        choices = [self._choice(body, limit, answer) for _ in range(count)]
        return _SimulatedResponse(self, kind, name, body, choices, answer)

    def _choice(
        self, body: Mapping[str, Any], limit: int | None, answer: Spoken | None
    ) -> "_Choice":
        """The draws for one choice; what goes on with a text has its quality already."""
        schedule = plan(self._simulation, self._rng, limit, answer)
        is_plain = answer is None and not body.get("continue_final_message")
        first = planted(self._rng) if self._simulation.quality and is_plain else None
        return _Choice(schedule, first)

    async def slot(self) -> None:
        """Wait until one of the engine's places is free, and take it."""
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1

    def leave(self, finished: bool) -> None:
        """Release the place; `finished` is true for a whole response, false for one broken off."""
        self._slots.release()
        self.running -= 1
        self.finished += finished
        self.cancelled += not finished

    def mean_s(self, first: bool, prompt: int) -> float:
        """Mean seconds until the first token, or between two, with the responses that run now."""
        return mean_s(self._simulation, first, self.running, prompt)

    @property
    def name(self) -> str:
        """The component's id."""
        return self._name


@dataclass(frozen=True)
class _Choice:
    """The draws for one choice of a response; `first` is its first word, if it is another one."""

    plan: TokenSchedule
    first: str | None

    def word(self, index: int) -> str:
        """The token at this place."""
        return _WORD if index or self.first is None else f" {self.first}"


@dataclass(frozen=True)
class _SimulatedResponse:
    """A response; a stream has one choice, a document as many as the request asks for."""

    component: Simulated
    kind: str
    id: str
    body: dict[str, Any]
    choices: list[_Choice]
    answer: Spoken | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = self._stream if self.body.get("stream") else self._whole
        await finishes_before_disconnect(work(send), receive)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        """Take one of the engine's places, as every choice does."""
        await self.component.slot()
        finished = False
        try:
            yield
            finished = True
        finally:
            self.component.leave(finished)

    async def _whole(self, send: Send) -> None:
        async with asyncio.TaskGroup() as group:
            for choice in self.choices:
                group.create_task(self._generate(choice))
        rows = [self._said_by(choice) | {"index": i} for i, choice in enumerate(self.choices)]
        document = self._document({}, None, "message") | {"choices": rows} | self._usage()
        await _start(send, b"application/json")
        await send({"type": "http.response.body", "body": json.dumps(document).encode()})

    async def _generate(self, choice: _Choice) -> None:
        async with self._running():
            async for _ in self._tokens(choice):
                pass

    def _said_by(self, choice: _Choice) -> dict[str, Any]:
        tokens = choice.plan.tokens
        text = "".join(map(choice.word, range(tokens)))
        is_continued = self.body.get("continue_final_message")
        said: dict[str, Any] = {"content": text if is_continued else text.strip()}
        if self.answer is not None:
            said = whole(self.answer.deltas[:tokens])
        [row] = self._document(said, choice.plan.finish_reason, "message")["choices"]
        ids = {"token_ids": [0] * tokens} if self.body.get("return_token_ids") else {}
        return {**row, **ids}

    async def _stream(self, send: Send) -> None:
        async with self._running():
            await self._send_events(send)

    async def _send_events(self, send: Send) -> None:
        [choice] = self.choices
        async for index in self._tokens(choice):
            if index == 0:
                await _start(send, b"text/event-stream")
            frame = self._frame(choice, index)
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        end = sse.encode_data(sse.DONE)
        if (self.body.get("stream_options") or {}).get("include_usage"):
            usage = self._document({}, None, "delta") | {"choices": []} | self._usage()
            end = sse.encode(usage) + end
        await send({"type": "http.response.body", "body": end})

    async def _tokens(self, choice: _Choice) -> AsyncIterator[int]:
        """The index of each token at its due time; a late wake-up delays no later token."""
        due, prompt = asyncio.get_running_loop().time(), self._prompt_tokens()
        for index, lateness in enumerate(choice.plan.lateness):
            due += lateness * self.component.mean_s(index == 0, prompt)
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            yield index

    def _frame(self, choice: _Choice, index: int) -> bytes:
        last = index == choice.plan.tokens - 1
        said = {"content": choice.word(index)}
        if self.answer is not None:
            said = self.answer.deltas[index]
        end = choice.plan.finish_reason if last else None
        return sse.encode(self._document(said, end, "delta"))

    def _document(
        self, said: dict[str, Any], finish_reason: str | None, field: str
    ) -> dict[str, Any]:
        content: dict[str, Any] = {"text": said.get("content", "")}
        if self.kind == "chat.completion":
            content = {field: {"role": "assistant", **said}}
        suffix = ".chunk" if self.kind == "chat.completion" and field == "delta" else ""
        return {
            "id": self.id,
            "object": self.kind + suffix,
            "created": int(time.time()),
            "model": self.component.name,
            "choices": [{"index": 0, **content, "finish_reason": finish_reason}],
        }

    def _prompt_tokens(self) -> int:
        return len(json.dumps(self.body.get("messages") or self.body.get("prompt")).split())

    def _usage(self) -> dict[str, Any]:
        prompt = self._prompt_tokens()
        tokens = sum(choice.plan.tokens for choice in self.choices)
        return {
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": tokens,
                "total_tokens": prompt + tokens,
            }
        }


def _geometric(mean: float, rng: random.Random) -> int:
    """A length >= 1 with the given mean, by inversion of the geometric distribution."""
    if mean <= 1:
        return 1
    return 1 + int(math.log(1 - rng.random()) / math.log(1 - 1 / mean))


def _log_normal(cv: float, rng: random.Random) -> Iterator[float]:
    """Factors with mean 1 and the given coefficient of variation: sigma^2 = ln(1 + cv^2)."""
    sigma = math.sqrt(math.log(1 + cv * cv))
    while True:
        yield math.exp(rng.gauss(0, 1) * sigma - sigma * sigma / 2)


async def _start(send: Send, content_type: bytes) -> None:
    headers = [(b"content-type", content_type)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
