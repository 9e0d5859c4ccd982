"""The window of a long history for a component: its beginning moves rarely, and by blocks.

A prefix cache helps as long as the beginning of a prompt stays the same. So turns are not dropped
one by one: the history is cut only at the first user message after a multiple of the block, and a
cut serves until the history has grown by that much. Cuts depend on the history alone, so that every
router replica makes the same cuts.

The window comes first and `legal_form.legal` after it: system messages at the beginning are pinned,
and once folded into a user message they could not be told from messages that may be dropped.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any

from blended.router.history.content import Message
from blended.router.history.legal_form import SYSTEM_ROLES

# English has about 4.5 bytes a token, most scripts and code between 2.5 and 6.
_BYTES_PER_TOKEN = 3
# The marks that a template puts around a message.
_MESSAGE_BYTES = 16
# An image, or any other part except text.
_MEDIA_BYTES = 1024 * _BYTES_PER_TOKEN

# Shares of the room by estimate: below the first a prompt fits, above the second it does not.
_SAFE = 0.6
_HOPELESS = 3.0

_TEXT_FIELDS = ("tool_calls", "function_call", "refusal", "reasoning", "reasoning_content")


async def fit(
    messages: Sequence[Message],
    room_tokens: int,
    block: float,
    count: Callable[[list[Message]], Awaitable[int]],
    sure: bool = False,
) -> list[Message]:
    """The longest of the `candidates` that fits into `room_tokens`, else the shortest.

    `count` gives the tokens of a candidate's prompt, with tool definitions. It is called rarely:
    never below 0.6 of the room by estimate, else for about log2(3 / block) candidates. An estimate
    can be wrong for unusual text: if the component then refuses the prompt, `sure` has the choice
    counted. A room that changes from turn to turn moves the cuts.
    """
    if not sure and estimate(messages) <= _SAFE * room_tokens:
        return list(messages)

    async def fits(candidate: list[Message]) -> bool:
        tokens = estimate(candidate)
        if tokens > _HOPELESS * room_tokens:
            return False
        return (not sure and tokens <= _SAFE * room_tokens) or await count(candidate) <= room_tokens

    starts = _starts(messages, room_tokens, block)
    low, high = 0, len(starts) - 1
    while low < high:
        middle = (low + high) // 2
        if await fits(_from(messages, starts[middle])):
            high = middle
        else:
            low = middle + 1
    return _from(messages, starts[low])


def candidates(
    messages: Sequence[Message], room_tokens: int, block: float
) -> Iterator[list[Message]]:
    """The possible windows of a history, the longest first; the first is the whole history.

    All begin with the pinned messages. The k-th then begins with the first user message at or after
    k blocks, the last with the last user message; equal ones come once. Appending a turn changes
    only the last cut.
    """
    return (_from(messages, start) for start in _starts(messages, room_tokens, block))


def block_bytes(messages: Sequence[Message], room_tokens: int, block: float) -> int:
    """The size of a block: `block` times the room after the pinned messages, as estimated."""
    room = room_tokens * _BYTES_PER_TOKEN
    pinned = sum(map(_size, messages[: _pinned(messages)]))
    # If pinned messages fill the room there is no good size; avoid one that is too small.
    return max(int(block * max(room - pinned, room / 8)), 1)


def estimate(messages: Sequence[Message]) -> int:
    """The estimated tokens of the messages in a prompt; too high for most vocabularies."""
    return -(-sum(map(_size, messages)) // _BYTES_PER_TOKEN)


def _starts(messages: Sequence[Message], room_tokens: int, block: float) -> list[int]:
    """The index at which each candidate's unpinned messages begin."""
    pinned = _pinned(messages)
    step = block_bytes(messages, room_tokens, block)
    starts, position, boundary, last_user = [pinned], 0, step, pinned
    for index in range(pinned, len(messages)):
        if messages[index]["role"] == "user":
            last_user = index
            if position >= boundary:
                starts.append(index)
                boundary = (position // step + 1) * step
        position += _size(messages[index])
    return starts if last_user == starts[-1] else [*starts, last_user]


def _from(messages: Sequence[Message], start: int) -> list[Message]:
    return [*messages[: _pinned(messages)], *messages[start:]]


def _pinned(messages: Sequence[Message]) -> int:
    """The number of system messages at the beginning of the history."""
    return sum(1 for _ in takewhile(lambda message: message["role"] in SYSTEM_ROLES, messages))


def _size(message: Message) -> int:
    """Estimated bytes of one message, independent of its neighbours."""
    content = message.get("content")
    size = _MESSAGE_BYTES
    if isinstance(content, str):
        size += _bytes(content)
    elif content:
        size += sum(map(_part_size, content))
    return size + sum(_bytes(message[key]) for key in _TEXT_FIELDS if message.get(key))


def _part_size(part: Message) -> int:
    text = part.get("text", part.get("refusal"))
    return _bytes(text) if isinstance(text, str) else _MEDIA_BYTES


def _bytes(value: Any) -> int:
    text = value if isinstance(value, str) else json.dumps(value)
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
