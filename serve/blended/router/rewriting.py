"""Rewrites the name and id in a response on its way to the client; records its usage and end.

A response is JSON or a stream of SSE events. A chunk of a stream is scanned as a whole, as bytes,
because most streams come a token at a time; it is parsed only if it may hold what the router needs.
Quotes and line breaks inside JSON texts are escaped, so that a match is never inside a text.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from blended import sse
from blended.sse import BLANK_LINE, DONE, ERROR_KEY, KEEP_ALIVE

_MODEL_KEY = b'"model"'
_MODEL = re.compile(_MODEL_KEY + rb'\s*:\s*"[^"\\]*"')
_ID = re.compile(rb'"id"\s*:\s*"([^"\\]*)"')
_FINGERPRINT_KEY = b'"system_fingerprint"'
_FINGERPRINT = re.compile(_FINGERPRINT_KEY + rb'\s*:\s*"[^"\\]*"')
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"(\w+)"')
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
# The beginnings of lines that are no data: a comment, or the type of an event.
_OTHER_LINES = b":", b"e"
_OTHER_MARKS = tuple(b"\n" + line for line in _OTHER_LINES)
# An event of one line: this line, and the blank one.
_DATA_LINE, _LINES = b"data:", 2
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')


def conceal(document: bytes, model: str) -> bytes:
    """Put `model` where a JSON document or SSE events name a model, and blank their fingerprints.

    An engine's fingerprint, like its name, differs between components.
    """
    if _FINGERPRINT_KEY in document:
        document = _FINGERPRINT.sub(_FINGERPRINT_KEY + b":null", document)
    named = _named(model)
    return _MODEL.sub(lambda _: named, document)


@dataclass
class Passage:
    """One response on its way to the client.

    `model` is the name to show instead of the component's, None to keep it. `response_id` replaces
    the component's id: an engine takes the router's id, a remote API does not. Without
    `keep_usage`, the event of a stream that only reports usage is dropped, because the client did
    not ask for it.

    `usage`, `finish_reason` and `complete` come from the response so far; `failed` is set once the
    component has reported an error in it, which is not passed on. `events` counts the events of a
    stream that carry a piece of the response, each at least one token. `kept` are the bytes that
    passed, if `keep` is set.
    """

    model: str | None
    keep_usage: bool
    response_id: str | None = None
    keep: bool = False
    usage: Mapping[str, Any] | None = field(default=None, init=False)
    finish_reason: str | None = field(default=None, init=False)
    complete: bool = field(default=False, init=False)
    failed: bool = field(default=False, init=False)
    events: int = field(default=0, init=False)
    kept: list[bytes] = field(default_factory=list, init=False)
    _framer: sse.Framer = field(default_factory=sse.Framer, init=False)
    _names: tuple[bytes, bytes] | None = field(default=None, init=False)
    _ids: tuple[bytes, bytes] | None = field(default=None, init=False)

    def whole(self, body: bytes, document: Mapping[str, Any]) -> bytes:
        """Take a response that is one JSON document; returns what the client gets."""
        self._note_finish(body)
        self._take_usage(document)
        self.complete = True
        shown = self._identified(body)
        return self._keep(shown if self.model is None else conceal(shown, self.model))

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk, which may cut an event anywhere; returns the events that it completed."""
        return self._completed(self._framer.feed(chunk))

    def flush(self) -> bytes:
        """Return the rest of an ended stream: an event that lacks its blank line."""
        return self._completed(self._framer.flush())

    def _completed(self, events: bytes) -> bytes:
        if not events:
            return b""
        # On bytes `find` takes half the time of `in`, and this runs for every token.
        if (
            events.find(ERROR_KEY) >= 0
            or events.find(DONE) >= 0
            or _USAGE.search(events)
            # One line of data needs no look at what other lines there are.
            or (
                not (events.startswith(_DATA_LINE) and events.count(b"\n") == _LINES)
                and _has_other_lines(events)
            )
        ):
            quiet = _quiet(events)
            events = events[:quiet] + b"".join(self._noted(events[quiet:]))
        self.events += events.count(BLANK_LINE)
        self._note_finish(events)
        events = self._identified(events)
        return self._keep(events if self.model is None else self._concealed(events, self.model))

    def _keep(self, shown: bytes) -> bytes:
        if self.keep:
            self.kept.append(shown)
        return shown

    def _identified(self, document: bytes) -> bytes:
        # The id stands first, before those of tool calls, and is the same in every event.
        if self._ids is None and self.response_id is not None and (found := _ID.search(document)):
            ours = self.response_id.encode()
            self._ids = found[0], found[0] if found[1] == ours else b'"id":"%b"' % ours
        if self._ids is None or self._ids[0] == self._ids[1]:
            return document
        return document.replace(*self._ids)

    def _noted(self, events: bytes) -> Iterator[bytes]:
        """The events that pass, one by one, where some may hold more than the next token."""
        for item in sse.parse(events):
            if isinstance(item, sse.Comment):
                self.events -= 1
                yield KEEP_ALIVE
            elif sse.is_error(item):
                self.failed = True
                return
            elif self._passes(item.data):
                yield item.raw

    def _passes(self, data: bytes) -> bool:
        """Record an event's data; returns whether the client gets the event."""
        if data == DONE:
            self.complete = True
            self.events -= 1
        if not _USAGE.search(data):
            return True
        self._note_usage(data)
        if not _NO_CHOICES.search(data):
            return True
        self.events -= self.keep_usage
        return self.keep_usage

    def _concealed(self, events: bytes, model: str) -> bytes:
        # A component writes its name in the same way in every event: use that of the first one.
        if self._names is None and (found := _MODEL.search(events)):
            self._names = found[0], _named(model)
        theirs, ours = self._names or (_MODEL_KEY, _MODEL_KEY)
        replaced = events.replace(theirs, ours)
        if _FINGERPRINT_KEY in replaced or replaced.count(_MODEL_KEY) != replaced.count(ours):
            return conceal(replaced, model)
        return replaced

    def _note_usage(self, document: bytes) -> None:
        try:
            found = json.loads(document)
        except (ValueError, RecursionError):
            return
        if isinstance(found, Mapping):
            self._take_usage(found)

    def _take_usage(self, document: Mapping[str, Any]) -> None:
        usage = document.get("usage")
        self.usage = usage if isinstance(usage, dict) else None

    def _note_finish(self, document: bytes) -> None:
        if found := _FINISH.search(document):
            self.finish_reason = found[1].decode()


def _has_other_lines(events: bytes) -> bool:
    """Whether blocks have a line that is no data: a comment, or the type of an event."""
    return events.startswith(_OTHER_LINES) or any(mark in events for mark in _OTHER_MARKS)


def _quiet(events: bytes) -> int:
    """The bytes before the first block that may hold more than the next token."""
    if events.startswith(_OTHER_LINES):
        return 0
    usage = _USAGE.search(events)
    marks = (events.find(mark) for mark in (ERROR_KEY, DONE, *_OTHER_MARKS))
    found = (*marks, usage.start() if usage else -1)
    end = events.rfind(BLANK_LINE, 0, min(at for at in found if at >= 0))
    return 0 if end < 0 else end + len(BLANK_LINE)


def _named(model: str) -> bytes:
    return _MODEL_KEY + b":" + json.dumps(model).encode()
