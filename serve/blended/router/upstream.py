"""One request to one component: waits for the first bytes, then yields bytes as they come.

The router awaits the first bytes of the body before it answers the client, because vLLM sends its
headers before it knows whether it can answer.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from blended.errors import ApiError
from blended.internal import REPLICA_HEADER, SESSION_HEADER
from blended.router import blame
from blended.router.blame import Reason
from blended.router.blend import Upstream
from blended.router.opening import NoAnswer, ReportedError, document_of, opening

_LONGEST_RETRY_S = 3600


@dataclass(frozen=True)
class Question:
    """A request to one component: an OpenAI request, ready to post.

    `session` selects the replica of a component; an engine makes `request_id` a
    part of its response's id; `context` are headers that join its spans to the response's trace.
    `is_stream` says whether the request asks for a stream.
    """

    upstream: Upstream
    path: str
    session: str
    request_id: str
    body: bytes
    context: Mapping[str, str]
    is_stream: bool

    def headers(self) -> dict[str, str]:
        """The headers for the component; none of them comes from the client."""
        is_vllm = self.upstream.dialect == "vllm"  # others learn nothing of the conversation
        session = {SESSION_HEADER: self.session} if is_vllm else {}
        return {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "x-request-id": self.request_id,
            **session,
            **self.context,
            **self.upstream.authorization(),
        }


@dataclass(frozen=True)
class Answer:
    """A component's answer that has begun.

    `stream` yields the chunks of an SSE stream, the first included; `whole` is the body of an
    answer that is no stream, and its document. Exactly one of them is set. `replica` is the
    replica, if it is named.
    """

    replica: str | None
    whole: tuple[bytes, Mapping[str, Any]] | None = None
    stream: AsyncIterator[bytes] | None = None


class Unanswered(Exception):
    """A component gave no answer: another may be asked, as the client has got nothing.

    `reason` is `full` (its replicas take no more), `unavailable` (not there), `late` (no answer
    within its budget, or before a check failed), `refused` (it refuses the router's key, or wants
    to be paid) or `broken` (it failed, or what came is no answer). `said` are its own words, for
    the log. `retry_after_s` is when it asks to be asked again.
    """

    def __init__(self, reason: Reason, said: str = "", retry_after_s: int | None = None) -> None:
        super().__init__(reason, said, retry_after_s)
        self.reason, self.said, self.retry_after_s = reason, said, retry_after_s


class Complaint(ApiError):
    """A component refuses a request; this error has its words."""


class Interrupted(Exception):
    """A component stopped in the middle of a stream; the message says how."""


@asynccontextmanager
async def ask(session: aiohttp.ClientSession, question: Question) -> AsyncIterator[Answer]:
    """Post to a component and wait until its answer has begun.

    Leaving the context closes an unfinished connection, which ends the generation.

    Raises:
        Unanswered: what came, if anything, is no answer.
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
            yield await _begun(response, question)
    except aiohttp.SocketTimeoutError as exc:
        raise Unanswered("late") from exc
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as exc:
        raise Unanswered("unavailable") from exc
    except (aiohttp.ClientError, NoAnswer) as exc:
        raise Unanswered("broken", str(exc)) from exc


async def _begun(response: aiohttp.ClientResponse, question: Question) -> Answer:
    upstream = question.upstream
    if response.status != 200:
        raise _failure(response, response.status, await response.read(), upstream)
    replica = response.headers.get(REPLICA_HEADER)
    try:
        if question.is_stream:
            return Answer(replica, stream=await _stream(response, upstream))
        body = await response.read()
        return Answer(replica, whole=(body, document_of(body)))
    except ReportedError as exc:
        status = blame.status_of(exc.document)
        raise _failure(response, status, exc.document, upstream) from exc


async def _stream(response: aiohttp.ClientResponse, upstream: Upstream) -> AsyncIterator[bytes]:
    timeouts, chunks = upstream.timeouts, response.content.iter_any()
    try:
        # Comments keep a connection busy, and the time between bytes short.
        async with asyncio.timeout(timeouts.first_byte_s):
            first = await opening(chunks)
    except TimeoutError as exc:
        raise Unanswered("late") from exc
    if (connection := response.connection) and connection.protocol is not None:
        # aiohttp's timer between reads was the budget of the first byte; from now on it limits the
        # time between bytes. Once everything has arrived there is no connection any more.
        connection.protocol.read_timeout = timeouts.idle_s
        connection.protocol.start_timeout()
    return _chunks(first, chunks, timeouts.idle_s)


async def _chunks(
    first: bytes, others: AsyncIterator[bytes], idle_s: float
) -> AsyncIterator[bytes]:
    yield first
    try:
        async for chunk in others:
            yield chunk
    except aiohttp.ServerTimeoutError as exc:
        raise Interrupted(f"The component sent nothing for {idle_s:g} s.") from exc
    except aiohttp.ClientError as exc:
        raise Interrupted("The component broke off its response.") from exc


def _failure(
    response: aiohttp.ClientResponse, status: int, body: bytes, upstream: Upstream
) -> Unanswered | Complaint:
    """Separate a complaint about the request from a failure of the component."""
    error = blame.parse(status, body)
    reason = blame.reason(status, error, not upstream.is_ours)
    if reason is None:
        return Complaint(status, error.message, error.known_code, error.param)
    return Unanswered(reason, error.message, _retry_after_s(response.headers.get("retry-after")))


def _retry_after_s(value: str | None) -> int | None:
    """Retry-After in seconds, if a component names a number of them."""
    if value is None or not value.isascii() or not value.isdigit():
        return None
    return min(int(value[:9]), _LONGEST_RETRY_S)
