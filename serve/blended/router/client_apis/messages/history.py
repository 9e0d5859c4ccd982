"""The messages of the Messages API as messages of chat. Pure functions."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from blended.router.client_apis import checks
from blended.router.refusal import refuse

Json = dict[str, Any]
Placed = tuple[str, Json]

_ROLES = ("user", "assistant", "system")
# Claude Code's first system block, which differs in each request: no prefix could be cached.
_BILLING = "x-anthropic-billing-header"


def history(given: Any, system: Any) -> tuple[list[Json], list[str]]:
    """The messages of a request, system messages first, each with the path of its original.

    A user's message of blocks becomes one message for each tool result, then one for the rest.

    Raises:
        ApiError: 400, naming the field, its value and the right values.
    """
    if not isinstance(given, list) or not given:
        refuse("messages", given, "give a list of at least one message")
    found = [*_system("system", system or [])]
    for path, message in checks.items("messages", given):
        role = message.get("role")
        if role not in _ROLES:
            refuse(f"{path}.role", role, f"give one of {', '.join(_ROLES)}")
        found += _MESSAGES[role](f"{path}.content", message.get("content"))
    return [message for _, message in found], [place.removesuffix(".content") for place, _ in found]


def _system(path: str, content: Any) -> Iterator[Placed]:
    blocks = _blocks(path, content)
    texts = [text for text in itertools.starmap(_text, blocks) if not text.startswith(_BILLING)]
    if texts:
        yield path, {"role": "system", "content": "\n\n".join(texts)}


def _user(path: str, content: Any) -> Iterator[Placed]:
    parts: list[Json] = []
    if isinstance(content, str):
        yield path, {"role": "user", "content": content}
        return
    blocks = _blocks(path, content)
    for inner, block in blocks:
        if block.get("type") == "tool_result":
            yield inner, _result(inner, block)
        else:
            parts.append(_part(inner, block))
    if parts or not blocks:
        yield path, {"role": "user", "content": checks.content(parts)}


def _assistant(path: str, content: Any) -> Iterator[Placed]:
    parts: list[Json] = []
    calls: list[Json] = []
    thoughts = ""
    for inner, block in _blocks(path, content):
        kind = block.get("type")
        if kind == "tool_use":
            calls.append(_call(inner, block))
        elif kind == "thinking":
            thoughts += checks.text(f"{inner}.thinking", block.get("thinking"))
        elif kind != "redacted_thinking":
            parts.append(_part(inner, block))
    message: Json = {"role": "assistant", "content": checks.content(parts) if parts else ""}
    message |= {"tool_calls": calls} if calls else {}
    yield path, message | ({"reasoning": thoughts} if thoughts else {})


_MESSAGES: dict[Any, Callable[[str, Any], Iterator[Placed]]] = {
    "user": _user,
    "assistant": _assistant,
    "system": _system,
}


def _blocks(path: str, content: Any) -> list[Placed]:
    """A content's blocks; a text is one."""
    if isinstance(content, str):
        return [(path, {"type": "text", "text": content})]
    if not isinstance(content, list):
        refuse(path, content, "give a text or a list of content blocks")
    return checks.items(path, content)


def _text(path: str, block: Json) -> str:
    if block.get("type") != "text":
        refuse(f"{path}.type", block.get("type"), 'give "text"')
    return checks.text(f"{path}.text", block.get("text"))


def _call(path: str, block: Json) -> Json:
    arguments = json.dumps(checks.item(f"{path}.input", block.get("input")))
    function = {"name": checks.text(f"{path}.name", block.get("name")), "arguments": arguments}
    call_id = checks.text(f"{path}.id", block.get("id"))
    return {"id": call_id, "type": "function", "function": function}


def _result(path: str, block: Json) -> Json:
    call_id = checks.text(f"{path}.tool_use_id", block.get("tool_use_id"))
    blocks = _blocks(f"{path}.content", block.get("content") or "")
    parts = [_part(*found) for found in blocks]
    if block.get("is_error"):
        # Chat has no field for it.
        parts.insert(0, {"type": "text", "text": "The tool failed."})
    return {"role": "tool", "tool_call_id": call_id, "content": checks.content(parts)}


def _part(path: str, block: Json) -> Json:
    kind = block.get("type")
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _url(f"{path}.source", block)}}
    if kind == "document":
        return _document(f"{path}.source", block)
    if kind != "text":
        words = "text, image, document, tool_use, tool_result, thinking"
        refuse(f"{path}.type", kind, f"give one of {words}, each in a message that may have it")
    return {"type": "text", "text": _text(path, block)}


def _document(path: str, block: Json) -> Json:
    source = checks.item(path, block.get("source"))
    if source.get("type") == "text":
        return {"type": "text", "text": checks.text(f"{path}.data", source.get("data"))}
    if source.get("type") != "base64":
        refuse(f"{path}.type", source.get("type"), 'give "text" or "base64"')
    name = block.get("title") or "document"
    return {"type": "file", "file": {"filename": name, "file_data": _url(path, block)}}


def _url(path: str, block: Json) -> str:
    """The address of a source, or its data in one."""
    source = checks.item(path, block.get("source"))
    if source.get("type") == "url":
        return checks.text(f"{path}.url", source.get("url"))
    if source.get("type") != "base64":
        refuse(f"{path}.type", source.get("type"), 'give "base64" or "url"')
    kind, data = (checks.text(f"{path}.{n}", source.get(n)) for n in ("media_type", "data"))
    return f"data:{kind};base64,{data}"
