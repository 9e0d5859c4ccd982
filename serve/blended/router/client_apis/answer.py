"""A chat answer as it comes: read from its document or its chunks into blocks, usage and end.

A block is a run of one kind: reasoning, text, a refusal, or one tool call's arguments. Other APIs
name the beginning and the end of each block, which chat leaves to the reader.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from blended.router.client_apis.wire import Untranslatable
from blended.router.usage import reported

Kind = Literal["reasoning", "text", "refusal", "call"]
Json = Mapping[str, Any]

# vLLM writes `reasoning`, other engines `reasoning_content`.
_TEXTS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("reasoning", ("reasoning", "reasoning_content")),
    ("text", ("content",)),
    ("refusal", ("refusal",)),
)


@dataclass
class Block:
    """One block of an answer; `key` tells tool calls apart, `call_id` and `name` describe one.

    `is_complete` is set when it has ended as the model meant it.
    """

    index: int
    kind: Kind
    key: Any = None
    call_id: str = ""
    name: str = ""
    is_complete: bool = False
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text so far; of a call its arguments."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Step:
    """One change of an answer: a block begins, grows by `text`, or ends."""

    change: Literal["begins", "grows", "ends"]
    block: Block
    text: str = ""


@dataclass(frozen=True)
class Usage:
    """Reported tokens; `cached` is None where the client may not know it."""

    prompt: int
    completion: int
    cached: int | None
    reasoning: int


@dataclass
class Answer:
    """An answer as far as it has come.

    `finish_reason` is in chat's words; `stop` is the text that ended it, where the engine names it.
    With `hides_reasoning`, reasoning makes no block.
    """

    hides_reasoning: bool = False
    model: str = ""
    usage: Usage | None = None
    finish_reason: str | None = None
    stop: str | None = None
    blocks: list[Block] = field(default_factory=list)

    @property
    def is_cut(self) -> bool:
        """Whether it ended before the model meant it to."""
        return self.finish_reason in ("length", "content_filter")

    def take(self, document: Json) -> list[Step]:
        """Take a chunk, or a whole answer, in the shape of chat; returns what it changes.

        Raises:
            Untranslatable: the arguments of an earlier tool call go on after another block.
        """
        self.model = str(document.get("model") or self.model)
        self.usage = _usage(document.get("usage")) or self.usage
        steps: list[Step] = []
        for choice in _objects(document.get("choices")):
            if choice.get("index", 0) == 0:
                steps += self._taken(choice)
        return steps

    def end(self) -> list[Step]:
        """End the last block; it is complete unless the answer is cut."""
        return list(self._ended(not self.is_cut))

    def _taken(self, choice: Json) -> Iterator[Step]:
        if reason := choice.get("finish_reason"):
            self.finish_reason = str(reason)
            stop = choice.get("stop_reason")
            self.stop = stop if isinstance(stop, str) else None
        said = _object(choice.get("delta") or choice.get("message"))
        for kind, names in _TEXTS:
            text = next(filter(None, (_text(said.get(name)) for name in names)), "")
            if text and not (kind == "reasoning" and self.hides_reasoning):
                yield from self._grown(Block(len(self.blocks), kind), text)
        for call in _objects(said.get("tool_calls")):
            yield from self._grown(*_call(len(self.blocks), call))

    def _grown(self, found: Block, text: str) -> Iterator[Step]:
        last = self.blocks[-1] if self.blocks else None
        if last is None or (last.kind, last.key) != (found.kind, found.key):
            if found.kind == "call" and any(b.key == found.key for b in self.blocks):
                raise Untranslatable("The component mixed the arguments of its tool calls.")
            yield from self._ended(True)
            self.blocks.append(found)
            yield Step("begins", found)
            last = found
        if text:
            last.pieces.append(text)
            yield Step("grows", last, text)

    def _ended(self, is_complete: bool) -> Iterator[Step]:
        if self.blocks:
            self.blocks[-1].is_complete = is_complete
            yield Step("ends", self.blocks[-1])


def _call(index: int, call: Json) -> tuple[Block, str]:
    """A block for a tool call, and the arguments in this piece of it."""
    function = _object(call.get("function"))
    # A call without an index comes in one piece.
    key = call["index"] if call.get("index") is not None else call.get("id") or f"call {index}"
    call_id, name = str(call.get("id") or ""), str(function.get("name") or "")
    return Block(index, "call", key, call_id, name), _text(function.get("arguments"))


def _usage(value: Any) -> Usage | None:
    if not isinstance(value, Mapping):
        return None
    prompt, completion = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    return Usage(
        reported(value, "prompt_tokens") or 0,
        reported(value, "completion_tokens") or 0,
        reported(prompt, "cached_tokens"),
        reported(completion, "reasoning_tokens") or 0,
    )


def _text(value: Any) -> str:
    """A text, or the texts of a list of parts."""
    if isinstance(value, list):
        return "".join(_text(part.get("text")) for part in _objects(value))
    return value if isinstance(value, str) else ""


def _object(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> list[Json]:
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []
