"""Joins the contents of messages: texts, and lists of parts. Pure functions."""

from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from typing import Any

Message = dict[str, Any]

_BLANK_LINE = "\n\n"


def joined(contents: Iterable[Any]) -> str | list[Message]:
    """Texts and lists of parts one after another, with blank lines between texts."""
    said = [content for content in contents if content]
    if all(isinstance(content, str) for content in said):
        return _BLANK_LINE.join(said)
    first, *others = _as_parts(said)
    return [*first, *chain.from_iterable(map(_set_off, others))]


def _as_parts(contents: Iterable[Any]) -> Iterator[list[Message]]:
    # Neighbouring texts become one part: engines may put a line break between parts, and joined
    # texts must read the same once a part follows.
    for are_texts, run in groupby(contents, key=lambda content: isinstance(content, str)):
        if are_texts:
            yield [{"type": "text", "text": _BLANK_LINE.join(run)}]
        else:
            yield from run


def _set_off(parts: list[Message]) -> list[Message]:
    first, *others = parts
    if first["type"] != "text":
        return parts
    return [first | {"text": _BLANK_LINE + first["text"]}, *others]
