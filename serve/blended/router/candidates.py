"""Several candidates for one response, and the one that the client gets. Pure functions.

A component that generates several choices at once reads the prompt once. Usage counts the tokens
of all candidates, which were generated; those that the client does not get are named beside them.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from blended import sse
from blended.router.texts import text_of
from blended.router.usage import reported

Document = Mapping[str, Any]

# The part of a choice that is nobody's text: the ids of its tokens, which were asked for to count.
_COUNTED = ("token_ids", "prompt_token_ids")
_REASONING = ("reasoning", "reasoning_content")
# A stream in pieces: each ends at the first blank after so many characters.
_PIECE = re.compile(r"(?s).{1,24}\S*\s*")
_USAGE = b'"usage"'
_BEGINNING = {"role": "assistant", "content": ""}


@dataclass(frozen=True)
class Judgement:
    """Which of `k` candidates a response is, and why.

    `chosen_by` is `reward`, or `first` where there are no scores; then `reason` says why not.
    `rejected` are the texts of the others. `generated` are the tokens of all of them, and
    `rejected_tokens` those of the others, as far as the component says.
    """

    k: int
    chosen: int
    chosen_by: Literal["reward", "first"]
    reason: str | None
    scores: tuple[float, ...] | None
    reward_version: str | None
    rejected: tuple[str, ...]
    rejected_tokens: int | None
    generated: int | None

    def record(self) -> dict[str, Any]:
        """What the journal keeps, without any text."""
        found = {**vars(self), "scores": None if self.scores is None else list(self.scores)}
        del found["rejected"], found["generated"]
        return found


@dataclass(frozen=True)
class Candidate:
    """One choice of a component; `tokens` is how many it has, if the component says so."""

    choice: Document
    text: str
    tokens: int | None

    @property
    def is_cut(self) -> bool:
        """Whether it ends because it may have no more tokens."""
        return self.choice.get("finish_reason") == "length"


def candidates(document: Document) -> list[Candidate]:
    """The candidates of a component's answer, by their numbers."""
    choices = [c for c in document["choices"] if isinstance(c, Mapping)]
    choices.sort(key=_index)
    return [Candidate(choice, text_of(choice), _tokens(choice)) for choice in choices]


def _index(choice: Document) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _tokens(choice: Document) -> int | None:
    ids = choice.get("token_ids")
    return len(ids) if isinstance(ids, list) else None


def best(scores: Sequence[float]) -> int:
    """The place of the highest score; of equal ones the first."""
    return max(range(len(scores)), key=scores.__getitem__)


def rejected_tokens(found: Sequence[Candidate], chosen: int) -> int | None:
    """The tokens of all candidates but the chosen one; None if the component does not say."""
    counts = [c.tokens for place, c in enumerate(found) if place != chosen]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def response(document: Document, chosen: Candidate, rejected: int | None) -> dict[str, Any]:
    """The answer as one with the chosen candidate alone."""
    choice = {name: value for name, value in chosen.choice.items() if name not in _COUNTED}
    shown = {name: value for name, value in document.items() if name not in _COUNTED}
    usage = document.get("usage")
    return shown | {"choices": [choice | {"index": 0}], "usage": _usage(usage, rejected, 0)}


def cut(whole: Document, text: str) -> dict[str, Any]:
    """A `response` with another text."""
    [choice] = whole["choices"]
    message = {**choice["message"], "content": text}
    return {**whole, "choices": [{**choice, "message": message}]}


def continued(begun: Document, rest: Document) -> dict[str, Any]:
    """The `response` that began with one answer and went on with another."""
    [first], second = begun["choices"], rest["choices"][0]
    message = dict(first["message"])
    message["content"] = text_of(first) + text_of(second)
    ended = {name: second.get(name) for name in ("finish_reason", "stop_reason") if name in second}
    more = reported(rest.get("usage"), "completion_tokens") or 0
    usage = _usage(begun.get("usage"), None, more)
    return {**begun, "choices": [{**first, **ended, "message": message}], "usage": usage}


def stream(whole: Document) -> bytes:
    """A `response` as the events of a stream: pieces of its text, its end, and its usage."""
    [choice] = whole["choices"]
    end = {name: choice[name] for name in ("finish_reason", "stop_reason") if name in choice}
    return b"".join(
        [
            beginning(whole),
            _event(whole, {}, end),
            sse.encode(_chunk(whole) | {"choices": [], "usage": whole["usage"]}),
            sse.encode_data(sse.DONE),
        ]
    )


def beginning(whole: Document) -> bytes:
    """The events of a `response` without its end, which another answer may go on with."""
    [choice] = whole["choices"]
    message = choice.get("message") or {}
    deltas: list[dict[str, Any]] = [_BEGINNING]
    deltas += [{name: message[name]} for name in _REASONING if message.get(name)]
    deltas += [{"content": piece} for piece in _PIECE.findall(text_of(choice))]
    return b"".join(_event(whole, delta, {"finish_reason": None}) for delta in deltas)


async def spliced(whole: Document, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The stream of a `response` that another stream goes on with."""
    yield beginning(whole)
    framer, first = sse.Framer(), True
    async for chunk in rest:
        if events := framer.feed(chunk):
            yield _joined(events, whole, first)
            first = False
    if events := framer.flush():
        yield _joined(events, whole, first)


def _joined(events: bytes, whole: Document, first: bool) -> bytes:
    """The events without a second beginning, and with the usage of both parts."""
    if not first and events.find(_USAGE) < 0:
        return events
    found = list[bytes]()
    for item in sse.parse(events):
        if isinstance(item, sse.Event) and item.data != sse.DONE and not sse.is_error(item):
            found.append(_of_both(item, whole))
        else:
            found.append(item.raw)
    return b"".join(found)


def _of_both(event: sse.Event, whole: Document) -> bytes:
    try:
        document = json.loads(event.data)
    except (ValueError, RecursionError):
        return event.raw
    choices = document.get("choices")
    if choices and choices[0].get("delta") == _BEGINNING:
        return b""
    if isinstance(usage := document.get("usage"), Mapping):
        more = reported(usage, "completion_tokens") or 0
        document["usage"] = _usage(whole.get("usage"), None, more)
        return sse.encode(document)
    return event.raw


def _usage(usage: Any, rejected: int | None, more: int) -> Any:
    """Usage with the tokens that were rejected, and those that were generated afterwards."""
    if not isinstance(usage, Mapping):
        return usage
    found = dict(usage)
    for name in ("completion_tokens", "total_tokens"):
        if (count := reported(usage, name)) is not None:
            found[name] = count + more
    if rejected is not None:
        details = usage.get("completion_tokens_details")
        known = details if isinstance(details, Mapping) else {}
        found["completion_tokens_details"] = {**known, "rejected_tokens": rejected}
    return found


def _chunk(whole: Document) -> dict[str, Any]:
    named = {name: whole[name] for name in ("id", "created", "model") if name in whole}
    return {"id": named.pop("id", ""), "object": "chat.completion.chunk", **named}


def _event(whole: Document, delta: Mapping[str, Any], end: Mapping[str, Any]) -> bytes:
    return sse.encode(_chunk(whole) | {"choices": [{"index": 0, "delta": delta, **end}]})
