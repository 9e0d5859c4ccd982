"""The texts of a response, from the bytes that passed to the client."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from blended import sse


def texts(kept: Iterable[bytes]) -> list[str]:
    """The texts of a response, one for each choice, from its document or its events.

    What is not in OpenAI's shape is left out.
    """
    found = dict[int, str]()
    for document in _documents(b"".join(kept)):
        choices = document.get("choices")
        for place, choice in enumerate(choices if isinstance(choices, list) else ()):
            if isinstance(choice, Mapping):
                index = choice.get("index")
                index = index if isinstance(index, int) else place
                found[index] = found.get(index, "") + text_of(choice)
    return [found[index] for index in sorted(found)]


def text_of(choice: Mapping[str, Any]) -> str:
    """A choice's text, which some components send as a list of parts."""
    messages = (choice.get("delta"), choice.get("message"), choice)
    part = next(message for message in messages if isinstance(message, Mapping))
    content = part.get("content") or part.get("text") or ""
    parts = content if isinstance(content, list) else [{"text": content}]
    spoken = (p.get("text") for p in parts if isinstance(p, Mapping))
    return "".join(text for text in spoken if isinstance(text, str))


def _documents(body: bytes) -> Iterable[Mapping[str, Any]]:
    is_whole = body.lstrip().startswith(b"{")
    for text in [body] if is_whole else [event.data for event in sse.events([body])]:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            continue  # [DONE]
        if isinstance(document, Mapping):
            yield document
