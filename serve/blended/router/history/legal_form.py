"""Legal history: what one component's chat template accepts of what other models wrote.

Pure functions over the OpenAI messages that `check_chat` lets pass.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from blended.config import History
from blended.router.history import tool_calls
from blended.router.history.content import Message, joined

SYSTEM_ROLES = ("system", "developer")
# What the user says where a template wants to hear the user and the history has nothing.
PADDING = "Begin."


def legal(messages: Sequence[Message], history: History) -> list[Message]:
    """The same history as the component's template accepts it; the messages stay untouched.

    - `developer` becomes `system`. Folded system text goes in front of the user message that
      follows at once, or stands as a user message where none does.
    - Kept tool calls are those whose results follow at once, one for each; other calls, other
      results, refusals and the old `function_call` are written out as text.
    - `alternate` leaves a user's and an assistant's message in turn, after a system message at
      most: it folds later system messages, and writes out all calls and results.
    - Without `reasoning`, its fields, its parts and `<think>` blocks go, closed or not.
    - Assistant messages that say nothing are left out, except the last message of all, which may be
      one that the component is to continue.

    Whatever is appended to `messages`, all of the result but its last message stays, and that one
    at most grows by what follows in its role. Only three endings are made differently once more
    follows: an assistant message that says nothing, tool calls of which results are still missing,
    and `PADDING` where there is nothing but system messages.
    """
    stream = _placed(_tidied(messages, history), history)
    result = list(_taking_turns(stream) if history.alternate else stream)
    if not result or (history.alternate and result[-1]["role"] == "system"):
        result.append(_padding())
    return result


def _tidied(messages: Sequence[Message], history: History) -> Iterator[Message]:
    """Each message without what other models left in it, or not at all if that was everything."""
    keep_calls = history.tools == "keep" and not history.alternate
    names: dict[str, str] = {}
    kept_until, last = 0, len(messages) - 1
    for index, message in enumerate(messages):
        role = message["role"]
        if role == "assistant":
            if not history.reasoning:
                message = tool_calls.without_reasoning(message)
            if not tool_calls.WRITTEN_OUT.isdisjoint(message):
                calls = tool_calls.calls_of(message)
                names |= tool_calls.names(calls)
                end = index + 1 + len(calls)
                if keep_calls and tool_calls.are_answered(calls, messages[index + 1 : end]):
                    kept_until = end
                else:
                    message = tool_calls.with_calls_as_text(message, calls)
            if index == last or not tool_calls.is_silent(message):
                yield message
        elif role == "developer":
            yield message | {"role": "system"}
        elif role in ("tool", "function") and index >= kept_until:
            yield tool_calls.result_as_text(message, names)
        else:
            yield message


def _placed(messages: Iterator[Message], history: History) -> Iterator[Message]:
    """System messages where the component takes them."""
    if history.system == "drop":
        return (message for message in messages if message["role"] != "system")
    if history.alternate:
        return _as_users(messages, begun=history.system == "fold")
    return _folded(messages) if history.system == "fold" else messages


def _as_users(messages: Iterable[Message], begun: bool) -> Iterator[Message]:
    """System messages as the user's, once the history has begun with something else."""
    for message in messages:
        begun = begun or message["role"] != "system"
        yield message | {"role": "user"} if begun and message["role"] == "system" else message


def _folded(messages: Iterable[Message]) -> Iterator[Message]:
    waiting: list[Message] = []
    for message in messages:
        if message["role"] == "system":
            waiting.append(message)
        elif not waiting:
            yield message
        else:
            if message["role"] == "user":
                yield _merged("user", [*waiting, message])
            else:
                yield _merged("user", waiting)
                yield message
            waiting = []
    if waiting:
        yield _merged("user", waiting)


def _taking_turns(messages: Iterable[Message]) -> Iterator[Message]:
    begun = False
    for role, run in groupby(messages, key=itemgetter("role")):
        if role == "assistant" and not begun:
            yield _padding()
        begun = begun or role != "system"
        yield _merged(role, list(run))


def _padding() -> Message:
    return {"role": "user", "content": PADDING}


def _merged(role: str, run: Sequence[Message]) -> Message:
    """One message for several; of fields that more than one has, the first one's stays."""
    if len(run) == 1 and run[0]["role"] == role:
        return run[0]
    fields: Message = {}
    for message in reversed(run):
        fields |= message
    return fields | {"role": role, "content": joined([m.get("content") for m in run])}
