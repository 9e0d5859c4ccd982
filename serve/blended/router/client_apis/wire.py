"""Chat's documents and streams decoded, and the events of other APIs encoded. Pure functions."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from blended import sse

Json = dict[str, Any]


class Untranslatable(Exception):
    """An answer that the client's API cannot express; the message says why."""


def document(body: bytes) -> Json:
    """The JSON object of a whole answer.

    Raises:
        Untranslatable: the body is none.
    """
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Untranslatable("The component's answer is not JSON.") from exc
    if not isinstance(decoded, dict):
        raise Untranslatable("The component's answer is no JSON object.")
    return decoded


def chunks(events: bytes) -> Iterator[Json | None]:
    """The chunks in whole events of a chat stream; None is its end. Other events are left out."""
    for item in sse.parse(events):
        if not isinstance(item, sse.Event):
            continue
        if item.data == sse.DONE:
            yield None
            continue
        try:
            decoded = json.loads(item.data)
        except (ValueError, RecursionError):
            continue
        if isinstance(decoded, dict):
            yield decoded


def joined(events: Iterator[bytes]) -> tuple[bytes, Untranslatable | None]:
    """The events up to the first that cannot be told, and the reason, if there is one."""
    found = []
    try:
        for event in events:
            found.append(event)
    except Untranslatable as exc:
        return b"".join(found), exc
    return b"".join(found), None


def event(document: Mapping[str, Any]) -> bytes:
    """The event of a document, with the document's `type` as its name."""
    return b"event: " + str(document["type"]).encode() + b"\n" + sse.encode(document)


def encode(document: Mapping[str, Any]) -> bytes:
    """A whole answer as JSON, in ASCII: a text may hold lone surrogates."""
    return json.dumps(document, separators=(",", ":")).encode()
