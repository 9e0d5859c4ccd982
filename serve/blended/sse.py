"""Server-Sent Events: parses a byte stream as the WHATWG standard says, and encodes events.

A stream is a sequence of blocks, each ended by a blank line. A block with data is an event; clients
ignore other blocks. The fields `id` and `retry`, with which browsers reconnect, are ignored.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from blended.errors import ApiError

BLANK_LINE = b"\n\n"  # ends a line, and is an empty one
KEEP_ALIVE = b":\n\n"  # a comment, which keeps a connection from looking idle
DONE = b"[DONE]"  # the data of the last event of an OpenAI stream
ERROR_KEY = b'"error"'  # a field of an OpenAI stream's error, or a reason to finish

_BOM = b"\xef\xbb\xbf"
_DATA = b"data: "
_ERROR = re.compile(rb"\s*\{\s*" + ERROR_KEY)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its type, its data, and its whole block with the blank line.

    `event` is `message` if the block names no type. `data` has one LF between the lines of the
    block's data; `raw` has LF at the end of each line, also if the stream had CR or CRLF.
    """

    event: str
    data: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class Comment:
    """A block without data, which clients ignore; usually a keep-alive."""

    raw: bytes


class Framer:
    """Cuts a stream at the ends of its blocks, wherever chunks end; it parses nothing."""

    def __init__(self) -> None:
        self._rest = b""
        self._has_begun = self._ended_in_cr = False

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk; returns the blocks that it completes, with LF at the end of each line."""
        if self._ended_in_cr or chunk.find(b"\r") >= 0:  # half the time of `in`
            chunk = self._with_line_feeds(chunk)
        data = self._rest + chunk if self._rest else chunk
        end = data.rfind(BLANK_LINE) + len(BLANK_LINE)
        if end < len(BLANK_LINE):
            self._rest = data
            return b""
        self._rest = data[end:]
        return data[:end] if self._has_begun else self._begun(data[:end])

    def flush(self) -> bytes:
        """The last block, if it lacks its blank line, completed; a browser drops it."""
        rest, self._rest = self._rest, b""
        rest = rest if self._has_begun else self._begun(rest)
        return lines + BLANK_LINE if (lines := rest.strip(b"\n")) else b""

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        if not chunk:
            return chunk
        if self._ended_in_cr:
            chunk = chunk.removeprefix(b"\n")  # the second half of a CRLF that was cut
        self._ended_in_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _begun(self, data: bytes) -> bytes:
        self._has_begun = True
        return data.removeprefix(_BOM)


class Parser:
    """Parses a stream, wherever chunks end."""

    def __init__(self) -> None:
        self._framer = Framer()

    def feed(self, chunk: bytes) -> list[Event | Comment]:
        """Take a chunk; returns the events and comments that it completes."""
        return list(parse(self._framer.feed(chunk)))


def parse(blocks: bytes) -> Iterator[Event | Comment]:
    """The events and comments in the bytes that a `Framer` returned."""
    for block in blocks.split(BLANK_LINE):
        if lines := block.strip(b"\n"):
            yield _parsed(lines)


def events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """The events of a stream as its chunks come, without comments."""
    parser = Parser()
    for chunk in chunks:
        yield from (item for item in parser.feed(chunk) if isinstance(item, Event))


def encode(document: Mapping[str, Any]) -> bytes:
    """The event whose data is a JSON document."""
    return encode_data(json.dumps(document, separators=(",", ":")).encode())


def encode_data(line: bytes) -> bytes:
    """The event whose data is one line."""
    return _DATA + line + BLANK_LINE


def error_event(error: ApiError) -> bytes:
    """The event, in OpenAI's shape, that ends a stream which failed once its status was sent.

    router/response.py sends it; other APIs have their own, see `failed` in router/client_apis.
    """
    return encode(error.body())


def is_error(event: Event) -> bool:
    """Whether an event says that its stream has failed: by its type, or by its document."""
    if event.event == "error":
        return True
    if ERROR_KEY not in event.data:
        return False
    try:
        return is_error_document(json.loads(event.data))
    except (ValueError, RecursionError):
        return _ERROR.match(event.data) is not None


def is_error_document(document: Any) -> bool:
    """Whether a JSON document is an error in OpenAI's shape, or a response that ended in one."""
    if not isinstance(document, Mapping):
        return False
    choices = document.get("choices")
    choices = choices if isinstance(choices, list) else []
    reasons = (choice.get("finish_reason") for choice in choices if isinstance(choice, Mapping))
    return bool(document.get("error")) or "error" in reasons


def _parsed(block: bytes) -> Event | Comment:
    raw = block + BLANK_LINE
    if block.startswith(_DATA) and b"\n" not in block:  # as good as always
        return Event("message", block[len(_DATA) :], raw)
    event, data = b"", list[bytes]()
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ")
    if not data:
        return Comment(raw)
    return Event(event.decode(errors="replace") or "message", b"\n".join(data), raw)
