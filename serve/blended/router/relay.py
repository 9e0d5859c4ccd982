"""One request to one component, its bytes passed on as they come.

The first bytes of the body are awaited before anything is promised to the client, because vLLM
sends its headers before it knows whether it can answer.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from blended.errors import ApiError
from blended.router.blend import Upstream

# Quotes inside JSON texts are escaped, so that these can only match real keys.
_MODEL = re.compile(rb'"model"\s*:\s*"[^"\\]*"')
_FINGERPRINT = re.compile(rb'"system_fingerprint"\s*:\s*"[^"\\]*"')
_DONE = b"data: [DONE]"


@dataclass(frozen=True)
class Question:
    """What one component is asked: an OpenAI request, ready to post.

    `conversation` picks the component's replica; `request_id` becomes part of the response's id.
    """

    upstream: Upstream
    path: str
    conversation: str
    request_id: str
    body: bytes

    def headers(self) -> dict[str, str]:
        """The headers that the component gets: nothing of the client's is among them."""
        headers = {
            "content-type": "application/json",
            "x-session-id": self.conversation,
            "x-request-id": self.request_id,
        }
        key = self.upstream.key
        return headers | ({"authorization": f"Bearer {key}"} if key else {})


@dataclass(frozen=True)
class Answer:
    """A component's answer whose first bytes have arrived.

    `stream` yields the chunks of an SSE stream, the first included; `whole` is the body of an
    answer that is no stream. Exactly one of them is set.
    """

    content_type: str
    whole: bytes | None = None
    stream: AsyncIterator[bytes] | None = None


class Interrupted(Exception):
    """A component stopped in the middle of a stream; the message says how."""


@asynccontextmanager
async def ask(session: aiohttp.ClientSession, question: Question) -> AsyncIterator[Answer]:
    """Post to a component and wait for its first bytes.

    Leaving the context closes an unfinished connection, which ends the generation.

    Raises:
        ApiError: the component refuses the request (its status), or cannot answer (502, 503);
            nothing has reached the client.
    """
    upstream, timeouts = question.upstream, question.upstream.timeouts
    request = session.post(
        f"{upstream.base_url}{question.path}",
        data=question.body,
        headers=question.headers(),
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect_s),
    )
    try:
        async with asyncio.timeout(timeouts.first_byte_s) as budget, request as response:
            answer = await _first(response, timeouts.idle_s)
            budget.reschedule(None)
            yield answer
    except TimeoutError as exc:
        raise _unavailable("did not answer in time") from exc
    except aiohttp.ClientError as exc:
        raise _unavailable("cannot be reached") from exc


async def _first(response: aiohttp.ClientResponse, idle_s: float) -> Answer:
    content_type = response.headers.get("content-type", "application/json")
    if response.status != 200 or not content_type.startswith("text/event-stream"):
        whole = await response.read()
        _check_status(response.status, whole)
        return Answer(content_type, whole=whole)
    first = await response.content.readany()
    if not first:
        raise _unavailable("ended its stream without a byte")
    return Answer(content_type, stream=_chunks(response, first, idle_s))


async def _chunks(
    response: aiohttp.ClientResponse, first: bytes, idle_s: float
) -> AsyncIterator[bytes]:
    chunk, tail = first, b""
    try:
        while chunk:
            tail = (tail + chunk)[-32:]
            yield chunk
            async with asyncio.timeout(idle_s):
                chunk = await response.content.readany()
    except TimeoutError as exc:
        raise Interrupted(f"The component sent nothing for {idle_s:g} s.") from exc
    except aiohttp.ClientError as exc:
        raise Interrupted("The component broke off its response.") from exc
    if _DONE not in tail:
        raise Interrupted("The component ended its response without completing it.")


def _check_status(status: int, body: bytes) -> None:
    """Tell an answer for the client from a complaint about its request and from a failure."""
    if status in (404, 503):
        raise _unavailable("is not ready or has no free replica")
    if status in (401, 403):
        raise ApiError(502, "The component drawn for this response refused the router's key.")
    if 400 <= status < 500:
        raise _complaint(status, body)
    if status != 200:
        message = f"The component drawn for this response failed with HTTP status {status}."
        raise ApiError(502, message, "component_failed")


def _complaint(status: int, body: bytes) -> ApiError:
    """A component's own words about the request, in the shape that OpenAI gives them."""
    try:
        error = json.loads(body)["error"]
        message, param = str(error["message"]), error.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, param = body.decode(errors="replace")[:500] or f"HTTP status {status}", None
    code = "context_length_exceeded" if "maximum context length" in message else "invalid_value"
    retry_after_s = 1 if status == 429 else None
    return ApiError(status, message, code, param if isinstance(param, str) else None, retry_after_s)


def _unavailable(what: str) -> ApiError:
    message = f"The component drawn for this response {what}; try again."
    return ApiError(503, message, "component_unavailable", retry_after_s=1)


def error_event(message: str) -> bytes:
    """The SSE event, in OpenAI's shape, that ends a stream which broke after its first byte."""
    error = {"message": message, "type": "server_error", "param": None, "code": "interrupted"}
    return f"data: {json.dumps({'error': error})}\n\n".encode()


def conceal(document: bytes, model: str) -> bytes:
    """Put `model` where a JSON document or SSE event names its model, and blank its fingerprint.

    An engine's fingerprint differs from component to component as its name does.
    """
    document = _FINGERPRINT.sub(b'"system_fingerprint":null', document, count=1)
    return _MODEL.sub(b'"model":' + json.dumps(model).encode(), document, count=1)


@dataclass
class Concealer:
    """Conceals the component in a stream of SSE events whose chunks may cut an event anywhere."""

    model: str
    _rest: bytes = field(default=b"", init=False)

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk; return the events that it completed, concealed."""
        *events, self._rest = (self._rest + chunk).split(b"\n\n")
        return b"".join(conceal(event, self.model) + b"\n\n" for event in events)

    def flush(self) -> bytes:
        """Return what is left when the stream has ended."""
        rest, self._rest = self._rest, b""
        return rest
