"""A member of a blend that answers every chat with given chunks, and keeps what it was asked."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from blended.journal.journal import Journal
from tests.support import Rig, remote_blend, rig, serving

Json = dict[str, Any]

USAGE: Json = {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "total_tokens": 29,
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def chunk(delta: Json, finish_reason: str | None = None, **more: Any) -> Json:
    """A chunk of a chat stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, **more}
    return {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def call(index: int, arguments: str, name: str | None = None) -> Json:
    """The delta of a tool call; the first one has a name."""
    head = {"id": f"call-{index}", "type": "function"} if name else {}
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


END: Json = {"id": "x", "model": "m", "choices": [], "usage": USAGE}
SAID = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hel"}),
    chunk({"content": "lo"}),
    chunk({}, "stop"),
    END,
]
# Reasoning, text and two calls, as vLLM streams them.
EVERYTHING = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning": "Let me "}),
    chunk({"reasoning": "see."}),
    chunk({"content": "I look."}),
    chunk(call(0, "", "look")),
    chunk(call(0, '{"at":')),
    chunk(call(0, ' "sky"}')),
    chunk(call(1, '{"at": "sea"}', "look")),
    chunk({"content": ""}, "tool_calls"),
    END,
]


def stream(chunks: Sequence[Json]) -> bytes:
    """A whole chat stream."""
    events = [json.dumps(one) for one in chunks] + ["[DONE]"]
    return "".join(f"data: {event}\n\n" for event in events).encode()


def whole(chunks: Sequence[Json]) -> Json:
    """The chat completion that a stream's chunks amount to."""
    message: Json = {"role": "assistant", "content": None}
    calls: dict[int, Json] = {}
    end = None
    for choice in (one["choices"][0] for one in chunks if one["choices"]):
        for name in ("content", "reasoning", "refusal"):
            if text := choice["delta"].get(name):
                message[name] = (message.get(name) or "") + text
        for one in choice["delta"].get("tool_calls", []):
            function = calls.setdefault(one["index"], one | {"function": {"arguments": ""}})
            arguments = function["function"]["arguments"] + one["function"]["arguments"]
            function["function"] |= one["function"] | {"arguments": arguments}
        end = choice["finish_reason"] or end
    message |= {"tool_calls": list(calls.values())} if calls else {}
    choices = [{"index": 0, "message": message, "finish_reason": end}]
    return {
        "id": "x",
        "object": "chat.completion",
        "model": "m",
        "choices": choices,
        "usage": USAGE,
    }


@dataclass(frozen=True)
class Member:
    """A router with one member, and the bodies that the member was asked with."""

    rig: Rig
    asked: list[Json]


@asynccontextmanager
async def answering(
    chunks: Sequence[Json], events: bytes | None = None, journal: Journal | None = None
) -> AsyncIterator[Member]:
    """A member that answers with `chunks`, as a stream or whole; `events` replace the stream."""
    asked: list[Json] = []

    async def chat(request: Request) -> Response:
        asked.append(await request.json())
        if not asked[-1].get("stream"):
            return JSONResponse(whole(chunks))
        body = stream(chunks) if events is None else events
        return StreamingResponse(iter([body]), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    async with serving(app) as url, rig(remote_blend(f"{url}/v1"), journal) as r:
        yield Member(r, asked)
