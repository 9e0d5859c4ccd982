"""The beginning of a component's answer, before which another component can still be asked.

Status 200 promises nothing: an error, a page in HTML or nothing at all may follow it. A stream has
begun with the first event that carries a piece of the response. Comments, which some servers send
while a request waits, carry nothing, and neither does an event that only names a role.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from blended import sse


class ReportedError(Exception):
    """The component reports an error; `document` is its JSON."""

    def __init__(self, document: bytes) -> None:
        super().__init__(document)
        self.document = document


class NoAnswer(Exception):
    """What came is no answer; the message says what came instead."""


# More than any server sends before its response.
_LONGEST = 2**17
# A chat's stream has a text in its first events, which a look at their bytes finds.
_TEXT = re.compile(rb'"delta"\s*:\s*\{[^{}]*"(?:content|reasoning|reasoning_content)"\s*:\s*"[^"]')


async def opening(chunks: AsyncIterator[bytes]) -> bytes:
    """The bytes of a stream up to and including the chunk with the first event that carries text.

    Raises:
        ReportedError: the stream begins with an error, or consists of one.
        NoAnswer: it ended, or became too long, before any event that carries something.
    """
    framer, received = sse.Framer(), b""
    async for chunk in chunks:
        received += chunk
        if _has_begun(framer.feed(chunk)):
            return received
        if len(received) > _LONGEST:
            raise NoAnswer(f"{_LONGEST} bytes came, and no event that carries anything")
    if _has_begun(framer.flush()):
        return received
    document_of(received)
    raise NoAnswer("a document came instead of a stream")


def document_of(body: bytes) -> Mapping[str, Any]:
    """The document of a body that is a response with at least one choice.

    Raises:
        ReportedError: it is an error.
        NoAnswer: it is something else.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise NoAnswer(f"{body[:40]!r} came instead of JSON" if body else "nothing came") from exc
    if sse.is_error_document(document):
        raise ReportedError(body)
    choices = document.get("choices") if isinstance(document, Mapping) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise NoAnswer("a document without choices came")
    assert isinstance(document, Mapping), "it has choices"
    return document


def _has_begun(blocks: bytes) -> bool:
    for item in sse.parse(blocks):
        if isinstance(item, sse.Event):
            if sse.is_error(item):
                raise ReportedError(item.data)
            if item.data == sse.DONE:
                raise NoAnswer("the stream ended without a response")
            if _TEXT.search(item.data) or _carries(item.data):
                return True
    return False


def _carries(data: bytes) -> bool:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise NoAnswer(f"an event that is not JSON came: {data[:40]!r}") from exc
    choices = document.get("choices") if isinstance(document, Mapping) else None
    return isinstance(choices, list) and any(map(_has_piece, choices))


def _has_piece(choice: Any) -> bool:
    if not isinstance(choice, Mapping):
        return False
    delta = choice.get("delta")
    pieces = delta.items() if isinstance(delta, Mapping) else [("text", choice.get("text"))]
    return bool(choice.get("finish_reason")) or any(
        value for name, value in pieces if name != "role"
    )
