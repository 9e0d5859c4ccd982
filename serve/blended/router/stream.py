"""What passes through the router: the component's name concealed, usage and end taken note of.

A response is JSON or a stream of SSE events. Events are looked at as bytes and parsed only where
they say something that the router needs.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Quotes inside JSON texts are escaped, so that these can only match real keys.
_MODEL = re.compile(rb'"model"\s*:\s*"[^"\\]*"')
_FINGERPRINT = re.compile(rb'"system_fingerprint"\s*:\s*"[^"\\]*"')
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"(\w+)"')
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_END_OF_EVENT = re.compile(rb"\r?\n\r?\n")
_DATA = b"data:"


def conceal(document: bytes, model: str) -> bytes:
    """Put `model` where a JSON document or SSE event names its model, and blank its fingerprint.

    An engine's fingerprint differs from component to component as its name does.
    """
    document = _FINGERPRINT.sub(b'"system_fingerprint":null', document, count=1)
    return _MODEL.sub(b'"model":' + json.dumps(model).encode(), document, count=1)


def error_event(message: str) -> bytes:
    """The SSE event, in OpenAI's shape, that ends a stream which broke after its first byte."""
    error = {"message": message, "type": "server_error", "param": None, "code": "interrupted"}
    return f"data: {json.dumps({'error': error})}\n\n".encode()


@dataclass
class Passage:
    """One response on its way to the client.

    `model` is the name to show instead of the component's, None to leave it. Without `keep_usage`
    the event of a stream that only reports usage is kept from the client, who did not ask for it.
    `usage`, `finish_reason` and `complete` are what the response has said so far; `events` counts
    the events of a stream that carry a piece of it, each of them at least one token.
    """

    model: str | None
    keep_usage: bool
    usage: Mapping[str, Any] | None = field(default=None, init=False)
    finish_reason: str | None = field(default=None, init=False)
    complete: bool = field(default=False, init=False)
    events: int = field(default=0, init=False)
    _rest: bytes = field(default=b"", init=False)

    def whole(self, body: bytes) -> bytes:
        """Take a response that is one JSON document; returns what the client gets."""
        self._note(body)
        self.complete = True
        return body if self.model is None else conceal(body, self.model)

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk, which may cut an event anywhere; returns the events that it completed."""
        *events, self._rest = _END_OF_EVENT.split(self._rest + chunk)
        return b"".join(map(self._event, events))

    def flush(self) -> bytes:
        """Return what the stream left when it ended: an event that lacks its blank line."""
        rest, self._rest = self._rest.strip(), b""
        return self._event(rest) if rest else b""

    def _event(self, event: bytes) -> bytes:
        if event == b"data: [DONE]":
            self.complete = True
            return event + b"\n\n"
        if _NO_CHOICES.search(event) and b'"usage"' in event:
            self._note(event.removeprefix(_DATA))
            if not self.keep_usage:
                return b""
        else:
            self.events += 1
            self._note_finish(event)
        return (event if self.model is None else conceal(event, self.model)) + b"\n\n"

    def _note(self, document: bytes) -> None:
        try:
            usage = json.loads(document).get("usage")
        except (ValueError, AttributeError, RecursionError):
            return
        self.usage = usage if isinstance(usage, dict) else None
        self._note_finish(document)

    def _note_finish(self, document: bytes) -> None:
        if found := _FINISH.search(document):
            self.finish_reason = found[1].decode()
