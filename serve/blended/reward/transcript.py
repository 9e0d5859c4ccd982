"""One neutral rendering of a conversation and a response, for the models that score responses.

    transcript([{"role": "user", "content": "Hi!"}], "Hello.")     # User: Hi!\nAssistant: Hello.

A score is for what was said: system prompts, tools and the names of components are left out. Every
line of a text but its first is indented, so that no text can pass for another turn.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# A reward model reads so many tokens, the last ones: vLLM is asked for `truncation_side: left`.
TOKENS = 256
# These characters hold so many tokens of almost any text.
LONGEST = 4_000

_SPEAKERS = {"user": "User", "assistant": "Assistant"}
_TURN = re.compile(r"(?:^|\n)(User|Assistant): ")


class Said(NamedTuple):
    """One turn of a transcript; the speaker of a turn that was cut is empty."""

    speaker: str
    text: str


def transcript(messages: Sequence[Mapping[str, Any]], response: str) -> str:
    """The conversation and the response as one text, of which the last LONGEST characters stay."""
    turns = [
        Said(_SPEAKERS[message["role"]], text)
        for message in messages
        if message.get("role") in _SPEAKERS and (text := _text(message.get("content")))
    ]
    turns.append(Said("Assistant", response))
    lines = (f"{turn.speaker}: {_indented(turn.text)}" for turn in turns)
    return "\n".join(lines)[-LONGEST:]


def turns_of(text: str) -> list[Said]:
    """The turns of a transcript, of which the response is the last."""
    cut, *rest = _TURN.split(text)
    turns = [Said(*turn) for turn in zip(rest[::2], rest[1::2], strict=True)]
    return [Said("", cut), *turns] if cut or not turns else turns


def _text(content: Any) -> str:
    """The texts of a message's content, which may be a list of parts."""
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str)).strip()


def _indented(text: str) -> str:
    return "\n  ".join(text.strip().splitlines())
