"""The input items of the Responses API as messages of chat. Pure functions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from blended.router.client_apis import checks
from blended.router.refusal import refuse

Json = dict[str, Any]

_ROLES = ("user", "assistant", "system", "developer")
_STATELESS = (
    "nothing is stored, so send the whole item; clients do where they are told `store: false`"
)


def history(given: Any) -> tuple[list[Json], list[str]]:
    """The messages of an input, each with the path of the item that began it.

    Reasoning, text and calls of one response become one assistant message, as chat has them.

    Raises:
        ApiError: 400, naming the item, its value and the right values.
    """
    if isinstance(given, str):
        return [{"role": "user", "content": given}], ["input"]
    if not isinstance(given, list) or not given:
        refuse("input", given, "give a text, or a list of at least one item")
    read = _History()
    for path, item in checks.items("input", given):
        kind = item.get("type") or ("message" if "role" in item else None)
        if not isinstance(kind, str) or kind not in _ITEMS:
            remedy = _STATELESS if kind == "item_reference" else f"give one of {', '.join(_ITEMS)}"
            refuse(f"{path}.type", kind, remedy)
        _ITEMS[kind](read, path, item)
    return read.messages, read.places


@dataclass
class _History:
    """The messages so far; `reasoning` belongs to what the assistant says or calls next."""

    messages: list[Json] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    reasoning: str = ""

    def add(self, path: str, message: Json) -> None:
        self.messages.append(message)
        self.places.append(path)

    def assistant(self, path: str, extends: Callable[[Json], bool]) -> Json:
        """The assistant's last message if it can be extended, else a new one."""
        last = self.messages[-1] if self.messages else {}
        if last.get("role") != "assistant" or not extends(last):
            last = {"role": "assistant", "content": None}
            self.add(path, last)
        if self.reasoning:
            last["reasoning"] = last.get("reasoning", "") + self.reasoning
            self.reasoning = ""
        return last


def _message(read: _History, path: str, item: Json) -> None:
    role = item.get("role")
    if role not in _ROLES:
        refuse(f"{path}.role", role, f"give one of {', '.join(_ROLES)}")
    content = _content(f"{path}.content", item.get("content"))
    if role == "assistant":
        message = read.assistant(path, lambda last: last["content"] is None)
        message["content"] = content
    else:
        read.add(path, {"role": role, "content": content})


def _call(read: _History, path: str, item: Json) -> None:
    function = {n: checks.text(f"{path}.{n}", item.get(n)) for n in ("name", "arguments")}
    call_id = checks.text(f"{path}.call_id", item.get("call_id"))
    message = read.assistant(path, lambda last: True)
    calls = message.setdefault("tool_calls", [])
    calls.append({"id": call_id, "type": "function", "function": function})


def _result(read: _History, path: str, item: Json) -> None:
    call_id = checks.text(f"{path}.call_id", item.get("call_id"))
    content = _content(f"{path}.output", item.get("output"))
    read.add(path, {"role": "tool", "tool_call_id": call_id, "content": content})


def _thought(read: _History, path: str, item: Json) -> None:
    name = "content" if item.get("content") else "summary"
    for inner, part in checks.items(f"{path}.{name}", item.get(name) or []):
        read.reasoning += checks.text(f"{inner}.text", part.get("text"))


_ITEMS: dict[Any, Callable[[_History, str, Json], None]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _result,
    "reasoning": _thought,
}


def _content(path: str, content: Any) -> str | list[Json]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        refuse(path, content, "give a text or a list of content parts")
    return checks.content([_part(*found) for found in checks.items(path, content)])


def _part(path: str, part: Json) -> Json:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": checks.text(f"{path}.text", part.get("text"))}
    if kind == "refusal":
        return {"type": "text", "text": checks.text(f"{path}.refusal", part.get("refusal"))}
    if kind == "input_image":
        return {"type": "image_url", "image_url": _image(path, part)}
    if kind == "input_file":
        file = {"file_data": checks.text(f"{path}.file_data", part.get("file_data"))}
        name = {"filename": part["filename"]} if part.get("filename") else {}
        return {"type": "file", "file": name | file}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    words = "input_text, output_text, refusal, input_image, input_file, input_audio"
    refuse(f"{path}.type", kind, f"give one of {words}")


def _image(path: str, part: Json) -> Json:
    detail = part.get("detail")
    url = {"url": checks.text(f"{path}.image_url", part.get("image_url"))}
    return url | ({"detail": detail} if detail else {})
