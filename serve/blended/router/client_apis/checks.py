"""Checks of a request in another API's words; every error names the client's own field."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from blended.errors import ApiError
from blended.router import fields
from blended.router.fields import CHAT_FIELDS, Fields
from blended.router.refusal import refuse
from blended.router.requests import Payload

Json = dict[str, Any]


def check(payload: Payload, table: Fields) -> None:
    """Refuse wrong values, and the fields that this API refuses or that only chat has.

    Fields that no table has stay: they reach a component that lists them under `passthrough`.

    Raises:
        ApiError: 400, naming the field and what to do.
    """
    fields.check(payload, table)
    for name, value in payload.items():
        field = table.get(name)
        if value is None or (field is None and name not in CHAT_FIELDS):
            continue
        if field is None:
            refuse_field(name, "leave it out: only POST /v1/chat/completions has it")
        if field.handling == "refused":
            refuse_field(name, field.note)
        if not field.takes(value):
            refuse(name, value, f"give {field.kind.words if field.kind else 'nothing'}")


def kept(payload: Payload, table: Fields) -> Payload:
    """The fields that chat has by the same name, and those that no table has."""
    return {
        name: value
        for name, value in payload.items()
        if name not in table or (name in CHAT_FIELDS and table[name].is_used)
    }


def refuse_field(name: str, remedy: str) -> NoReturn:
    """Refuse a field of this API.

    Raises:
        ApiError: 400, always.
    """
    message = f"'{name}' is not supported; {remedy}."
    raise ApiError(400, message, "unsupported_parameter", name)


def text(path: str, value: Any) -> str:
    """A text.

    Raises:
        ApiError: 400, it is none.
    """
    if not isinstance(value, str):
        refuse(path, value, "give a text")
    return value


def item(path: str, value: Any) -> Json:
    """An object.

    Raises:
        ApiError: 400, it is none.
    """
    if not isinstance(value, dict):
        refuse(path, value, "give an object")
    return value


def items(path: str, value: Any) -> list[tuple[str, Json]]:
    """The objects in a list, each with its path.

    Raises:
        ApiError: 400, it is no list of objects.
    """
    if not isinstance(value, list):
        refuse(path, value, "give a list of objects")
    return [(inner := f"{path}[{index}]", item(inner, one)) for index, one in enumerate(value)]


def only(path: str, value: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse what an object holds besides `names`.

    Raises:
        ApiError: 400, naming the first such field.
    """
    for name, found in value.items():
        if found is not None and name not in names:
            remedy = f"leave it out: '{path}' may have {', '.join(names)}"
            refuse_field(f"{path}.{name}"[:160], remedy)


def content(parts: list[Json]) -> str | list[Json]:
    """A message's content in the shape of chat: one text that is not empty is no list."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"]) or parts
    return parts
