"""Legal history: the shared history in a form that one component's chat template accepts.

Pure functions over the OpenAI messages that `check_chat` accepts.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from blended.config import History
from blended.router.history import tool_calls
from blended.router.history.content import Message, joined

SYSTEM_ROLES = ("system", "developer")
# The user message where a template needs one and the history has none.
PADDING = "Begin."


def legal(messages: Sequence[Message], history: History) -> list[Message]:
    """The history in a form that the component's template accepts; `messages` stay unchanged.

    - `developer` becomes `system`. Folded system text goes in front of the user message that
      follows at once; without one it becomes a user message.
    - Kept tool calls are those whose results follow at once, one for each; other calls, other
      results, refusals and the old `function_call` are written out as text.
    - `alternate` leaves user and assistant messages in turn, after one system message at most: it
      folds later system messages, and writes out all calls and results.
    - Without `reasoning`, its fields, parts and `<think>` blocks are removed, closed or not.
    - Assistant messages without content are left out, except the last message of all, which the
      component may be asked to continue.

    When messages are appended, all of the result but its last message stays, and the last one at
    most grows by following messages in its role. Only three endings change once more follows: an
    assistant message without content, tool calls whose results are still missing, and `PADDING`
    where there are only system messages.
    """
    stream = _placed(_tidied(messages, history), history)
    result = list(_taking_turns(stream) if history.alternate else stream)
    if not result or (history.alternate and result[-1]["role"] == "system"):
        result.append(_padding())
    return result


def _tidied(messages: Sequence[Message], history: History) -> Iterator[Message]:
    """Each message without the traces of other models, or no message if nothing else is left."""
    keep_calls = history.tools == "keep" and not history.alternate
    names: dict[str, str] = {}
    kept_until, last = 0, len(messages) - 1
    for index, message in enumerate(messages):
        role = message["role"]
        if role == "assistant":
            message = tool_calls.without_empty_calls(message)
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
            if not tool_calls.is_silent(message):
                yield message
            elif index == last:
                yield message | {"content": message.get("content") or ""}
        elif role == "developer":
            yield message | {"role": "system"}
        elif role in ("tool", "function") and index >= kept_until:
            yield tool_calls.result_as_text(message, names)
        else:
            yield message


def _placed(messages: Iterator[Message], history: History) -> Iterator[Message]:
    """System messages in the places that the component accepts."""
    if history.system == "drop":
        return (message for message in messages if message["role"] != "system")
    if history.alternate:
        return _as_users(messages, begun=history.system == "fold")
    return _folded(messages) if history.system == "fold" else messages


def _as_users(messages: Iterable[Message], begun: bool) -> Iterator[Message]:
    """System messages as user messages, once the history has begun with another role."""
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
    """One message for several; a field in more than one keeps its first value."""
    if len(run) == 1 and run[0]["role"] == role:
        return run[0]
    fields: Message = {}
    for message in reversed(run):
        fields |= message
    return fields | {"role": role, "content": joined([m.get("content") for m in run])}
