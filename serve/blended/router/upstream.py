"""One request to one component: waits for the first bytes, then yields bytes as they come.

The router awaits the first bytes of the body before it answers the client, because vLLM sends its
headers before it knows whether it can answer.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import aiohttp

from blended import sse
from blended.errors import ApiError
from blended.internal import REPLICA_HEADER, SESSION_HEADER
from blended.router.blend import Upstream

CONTEXT_EXCEEDED = "context_length_exceeded"

Reason = Literal["full", "unavailable", "late", "refused"]

# 402: a member requires payment before it answers.
_REASONS: dict[int, Reason] = {
    429: "full",
    404: "unavailable",
    401: "refused",
    402: "refused",
    403: "refused",
}
# Some APIs send status 200 and then an error.
_ERROR_DOCUMENT = re.compile(rb'\s*\{\s*"error"\s*:\s*\{')


@dataclass(frozen=True)
class Question:
    """A request to one component: an OpenAI request, ready to post.

    `session` selects the component's replica; an engine makes `request_id` a part of its response's
    id; `context` are headers that join its spans to the response's trace.
    """

    upstream: Upstream
    path: str
    session: str
    request_id: str
    body: bytes
    context: Mapping[str, str]

    def headers(self) -> dict[str, str]:
        """The headers for the component; none of them comes from the client."""
        return {
            "content-type": "application/json",
            SESSION_HEADER: self.session,
            "x-request-id": self.request_id,
            **self.context,
            **self.upstream.authorization(),
        }


@dataclass(frozen=True)
class Answer:
    """A component's answer whose first bytes have arrived.

    `stream` yields the chunks of an SSE stream, the first included; `whole` is the body of an
    answer that is no stream. Exactly one of them is set. `replica` is the replica, if it is named.
    """

    content_type: str
    replica: str | None
    whole: bytes | None = None
    stream: AsyncIterator[bytes] | None = None


class Unanswered(Exception):
    """A component gave no byte of an answer: another may be asked, as the client has got nothing.

    `reason` is `full` (its replicas take no more), `unavailable` (not there, or failing), `late`
    (no first byte within its budget, or before a check failed) or `refused` (it refuses the
    router's key, or requires payment).
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Complaint(ApiError):
    """A component refuses a request; this error has its words."""


class Interrupted(Exception):
    """A component stopped in the middle of a stream; the message says how."""


@asynccontextmanager
async def ask(session: aiohttp.ClientSession, question: Question) -> AsyncIterator[Answer]:
    """Post to a component and wait for its first bytes.

    Leaving the context closes an unfinished connection, which ends the generation.

    Raises:
        Unanswered: no bytes came that could be an answer.
        Complaint: the component refuses the request; nothing has reached the client.
    """
    upstream, timeouts = question.upstream, question.upstream.timeouts
    request = session.post(
        f"{upstream.base_url}{question.path}",
        data=question.body,
        headers=question.headers(),
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(
            sock_connect=timeouts.connect_s, sock_read=timeouts.first_byte_s
        ),
    )
    try:
        async with request as response:
            yield await _first(response, timeouts.idle_s)
    except aiohttp.SocketTimeoutError as exc:
        raise Unanswered("late") from exc
    except aiohttp.ClientError as exc:
        raise Unanswered("unavailable") from exc


async def _first(response: aiohttp.ClientResponse, idle_s: float) -> Answer:
    content_type = response.headers.get("content-type", "application/json")
    replica = response.headers.get(REPLICA_HEADER)
    if response.status != 200 or not content_type.startswith("text/event-stream"):
        whole = await response.read()
        _check_status(response.status, whole)
        if _ERROR_DOCUMENT.match(whole):
            _check_error(whole)
        return Answer(content_type, replica, whole=whole)
    first = await response.content.readany()
    if not first:
        raise Unanswered("unavailable")
    _check_first_event(first)
    if (connection := response.connection) and connection.protocol is not None:
        # aiohttp's timer between reads was the budget of the first byte; from now on it limits the
        # time between bytes. Once everything has arrived there is no connection any more.
        connection.protocol.read_timeout = idle_s
        connection.protocol.start_timeout()
    return Answer(content_type, replica, stream=_chunks(response, first, idle_s))


async def _chunks(
    response: aiohttp.ClientResponse, first: bytes, idle_s: float
) -> AsyncIterator[bytes]:
    chunk = first
    try:
        while chunk:
            yield chunk
            chunk = await response.content.readany()
    except aiohttp.ServerTimeoutError as exc:
        raise Interrupted(f"The component sent nothing for {idle_s:g} s.") from exc
    except aiohttp.ClientError as exc:
        raise Interrupted("The component broke off its response.") from exc


def _check_status(status: int, body: bytes) -> None:
    """Separate an answer for the client from a complaint about its request and from a failure."""
    if status == 200:
        return
    if 400 <= status < 500 and status not in _REASONS:
        raise _complaint(status, body)
    raise Unanswered(_REASONS.get(status, "unavailable"))


def _check_first_event(chunk: bytes) -> None:
    """A stream may begin with an error, long after its status: classify it by its code."""
    framer = sse.Framer()
    first = next(sse.parse(framer.feed(chunk) + framer.flush()), None)
    if isinstance(first, sse.Event) and sse.is_error(first):
        _check_error(first.data)


def _check_error(document: bytes) -> None:
    """Classify an error under status 200 by the code in its document."""
    try:
        code = json.loads(document)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        code = None
    _check_status(code if isinstance(code, int) and code != 200 else 500, document)


def _complaint(status: int, body: bytes) -> Complaint:
    """A component's error about the request, in OpenAI's shape."""
    try:
        error = json.loads(body)["error"]
        message, param = str(error["message"]), error.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, param = body.decode(errors="replace")[:500] or f"HTTP status {status}", None
    code = CONTEXT_EXCEEDED if "maximum context length" in message else "invalid_value"
    return Complaint(status, message, code, param if isinstance(param, str) else None)
