"""A remote component that answers as it is told, with any status, header, encoding and bytes."""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from blended.config import BlendConfig
from blended.journal.journal import Journal
from tests.support import HELLO, Rig, body_of, events, eventually, rig, serving

Header = tuple[bytes, bytes]

JSON: Header = (b"content-type", b"application/json")
SSE: Header = (b"content-type", b"text/event-stream")
HTML: Header = (b"content-type", b"text/html")
MODEL = "odd-model"


@dataclass(frozen=True)
class Reply:
    """What the member sends: a status, headers, and the pieces of a body."""

    body: Sequence[bytes]
    headers: Sequence[Header] = (JSON,)
    status: int = 200


def document(**choice: Any) -> dict[str, Any]:
    """A response in one document."""
    message = {"role": "assistant", "content": "odd"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop", **choice}]
    return {"id": "1", "object": "chat.completion", "model": MODEL, "choices": choices}


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """A chunk of a stream."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "1", "object": "chat.completion.chunk", "model": MODEL, "choices": choices}


def data(*documents: Any, line: bytes = b"\n") -> bytes:
    """Events with these documents; a text is sent as it is."""
    sent = (d.encode() if isinstance(d, str) else json.dumps(d).encode() for d in documents)
    return b"".join(b"data: " + one + line + line for one in sent)


ROLE = chunk(role="assistant", content="")
TEXT, END = chunk(content="odd"), chunk("stop", content="")
GOOD_STREAM = data(ROLE, TEXT, END, "[DONE]")
GOOD = json.dumps(document()).encode()


def whole(body: bytes, *headers: Header, status: int = 200) -> Reply:
    """A body in one piece; JSON unless `headers` say something else."""
    return Reply([body], headers or (JSON,), status)


def stream(*body: bytes, headers: Sequence[Header] = ()) -> Reply:
    """A stream in pieces."""
    return Reply(body, [SSE, *headers])


def compressed(body: bytes, how: str) -> bytes:
    """A body in an encoding."""
    return gzip.compress(body) if how == "gzip" else zlib.compress(body)


@dataclass
class Member:
    """The server of the odd member, and of a second member that answers well."""

    reply: Reply
    asked: list[dict[str, Any]] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; the path's first part names the member."""
        if scope["type"] != "http":
            return
        body = await body_of(receive)
        _, name, *path = scope["path"].split("/")
        if path == ["models"]:
            self.checks[name] += 1
            await _send(send, Reply([b"{}"]))
        elif name == "well":
            asked = json.loads(body)
            await _send(send, stream(GOOD_STREAM) if asked.get("stream") else whole(GOOD))
        else:
            self.asked.append(json.loads(body))
            self.headers.append({k.decode(): v.decode() for k, v in scope["headers"]})
            await _send(send, self.reply)


async def _send(send: Any, reply: Reply) -> None:
    start = {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
    await send(start)
    for piece in reply.body:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@dataclass(frozen=True)
class Site:
    """A router before the odd member, which is drawn first, and the one that answers well."""

    rig: Rig
    member: Member

    async def ask(self, is_stream: bool, **fields: Any) -> httpx.Response:
        """One request for the blend; returns once its record is there."""
        before = len(self.rig.records)
        response = await self.rig.chat(stream=is_stream, **{"messages": HELLO, **fields})
        await eventually(lambda: len(self.rig.records) > before)
        return response

    @property
    def reasons(self) -> list[str]:
        """Why components were asked in vain for the last request."""
        return [failure["reason"] for failure in self.rig.records[-1].failures]


@asynccontextmanager
async def site(
    reply: Reply,
    alone: bool = False,
    journal: Journal | None = None,
    period_s: float = 3600,
    **component: Any,
) -> AsyncIterator[Site]:
    """Both members, or the odd one `alone`, checked every `period_s`.

    `component` are more settings of the odd one.
    """
    member = Member(reply)
    async with serving(member) as url:
        members = [_component("odd", url, period_s) | component, _component("well", url, period_s)]
        weights = {"odd": 1e6, "well": 1e-6}
        config = {
            "name": "blend",
            "components": members[:1] if alone else members,
            "selection": {"weights": {"odd": 1} if alone else weights},
            "api": {"reveal_component": True},
        }
        async with rig(BlendConfig.model_validate(config), journal) as r:
            yield Site(r, member)


def _component(name: str, url: str, period_s: float) -> dict[str, Any]:
    return {
        "id": name,
        "kind": "remote",
        "base_url": f"{url}/{name}",
        "model": MODEL,
        "api_key_env": "REMOTE_KEY",
        "health": {"period_s": period_s, "failures": 2},
        "timeouts": {"first_byte_s": 5, "idle_s": 2},
    }


def text(response: httpx.Response, is_stream: bool) -> str:
    """The text of a response, and `[error]` where a stream ends with an error."""
    if not is_stream:
        return str(response.json()["choices"][0]["message"]["content"])
    found = ""
    for event in events(response.content):
        if isinstance(event, dict) and "error" in event:
            found += "[error]"
        elif isinstance(event, dict) and event["choices"]:
            found += event["choices"][0]["delta"].get("content") or ""
    return found
