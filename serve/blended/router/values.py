"""Kinds of values for a request's fields: each has words, a JSON Schema and a test."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from blended.router.schema_cycles import has_cycle

Json = Any

_LARGEST = 2**31 - 1
# Limits for a grammar's compiler: its work grows faster than the schema.
_SCHEMA_BYTES, _SCHEMA_NODES, _SCHEMA_DEPTH = 2**17, 5000, 40
_ENUM_VALUES = 1000
_EXPRESSION = 2000
# The most token ids with a bias, and the largest bias.
_BIASES, _BIAS = 1024, 100


@dataclass(frozen=True)
class Kind:
    """`words` follow "give"; `schema` describes what `holds` accepts, or a part of it.

    `settled` gives an accepted value the form that components get.
    """

    words: str
    schema: Mapping[str, Json]
    holds: Callable[[Json], bool]
    settled: Callable[[Json], Json] = lambda value: value


def boolean() -> Kind:
    """True or false."""
    return Kind("true or false", {"type": "boolean"}, lambda value: isinstance(value, bool))


def number(low: float, high: float) -> Kind:
    """A number within bounds, both included."""
    return Kind(
        f"a number from {low:g} to {high:g}",
        {"type": "number", "minimum": low, "maximum": high},
        lambda value: _is_number(value) and low <= value <= high,
    )


def number_above(low: float, high: float) -> Kind:
    """A number within bounds, of which only the upper one is included."""
    return Kind(
        f"a number above {low:g}, up to {high:g}",
        {"type": "number", "exclusiveMinimum": low, "maximum": high},
        lambda value: _is_number(value) and low < value <= high,
    )


def whole(low: int, high: int = _LARGEST) -> Kind:
    """A whole number within bounds, both included; components get 7.0 as 7."""
    return Kind(
        f"a whole number from {low} to {high}",
        {"type": "integer", "minimum": low, "maximum": high},
        lambda value: _is_whole(value, low, high),
        int,
    )


def limit() -> Kind:
    """A number of tokens from 1; -1, which some clients send for no limit, becomes null."""
    allowed = whole(1)
    return Kind(
        f"{allowed.words}; -1 is as good as nothing",
        {"anyOf": [allowed.schema, {"const": -1}]},
        lambda value: allowed.holds(value) or _is_whole(value, -1, -1),
        lambda value: None if value == -1 else int(value),
    )


def one_of(*values: str | bool) -> Kind:
    """One of a few values."""
    shown = " or ".join(json.dumps(value) for value in values)
    # Not `in`, which takes True for 1.
    return Kind(
        shown,
        {"enum": list(values)},
        lambda value: any(value is v or (isinstance(value, str) and value == v) for v in values),
    )


def only(value: Json) -> Kind:
    """One value."""
    return Kind(json.dumps(value), {"const": value}, lambda given: bool(given == value))


def anything(words: str) -> Kind:
    """Any JSON value; the router ignores values that it cannot use."""
    return Kind(words, {}, lambda value: True)


def text_or_texts(most: int, longest: int) -> Kind:
    """A text, or a list of them."""
    one = {"type": "string", "maxLength": longest}
    many = {"type": "array", "items": one, "maxItems": most}

    def holds(value: Json) -> bool:
        texts = [value] if isinstance(value, str) else value
        return isinstance(texts, list) and len(texts) <= most and _are_texts(texts, longest)

    words = f"a text or a list of at most {most} texts, each of at most {longest} characters"
    return Kind(words, {"anyOf": [one, many]}, holds)


def token_ids(most: int) -> Kind:
    """A list of token ids."""
    item = {"type": "integer", "minimum": 0, "maximum": _LARGEST}

    def holds(value: Json) -> bool:
        return isinstance(value, list) and len(value) <= most and are_token_ids(value)

    schema = {"type": "array", "items": item, "maxItems": most}
    return Kind(f"a list of at most {most} token ids", schema, holds, lambda ids: [*map(int, ids)])


def flags(*names: str) -> Kind:
    """An object that has only some of these names, each true or false."""
    properties = {name: {"type": "boolean"} for name in names}
    return Kind(
        f"an object of {', '.join(names)}, each true or false",
        {"type": "object", "properties": properties, "additionalProperties": False},
        lambda value: (
            isinstance(value, dict)
            and all(name in names and isinstance(v, bool | None) for name, v in value.items())
        ),
    )


def biases() -> Kind:
    """Token ids as texts, each with its bias."""
    value = {"type": "number", "minimum": -_BIAS, "maximum": _BIAS}
    schema = {
        "type": "object",
        "patternProperties": {"^[0-9]{1,9}$": value},
        "additionalProperties": False,
        "maxProperties": _BIASES,
    }

    def holds(given: Json) -> bool:
        return (
            isinstance(given, dict)
            and len(given) <= _BIASES
            and all(len(k) < 10 and k.isascii() and k.isdigit() for k in given)
            and all(_is_number(v) and -_BIAS <= v <= _BIAS for v in given.values())
        )

    words = f"an object of at most {_BIASES} token ids, each with a number from -100 to 100"
    return Kind(words, schema, holds)


def format_of(*types: str) -> Kind:
    """An object with one of these types, and a schema that compiles in reasonable time."""
    schema = {"type": "object", "required": ["type"], "properties": {"type": {"enum": list(types)}}}

    def holds(value: Json) -> bool:
        return isinstance(value, dict) and value.get("type") in types and is_compilable(value)

    return Kind(f"an object whose 'type' is one of {', '.join(types)}{_COMPILABLE}", schema, holds)


def constraints(*names: str) -> Kind:
    """An object that has only some of these names, and compiles in reasonable time."""
    schema = {
        "type": "object",
        "properties": {name: {} for name in names},
        "additionalProperties": False,
        "minProperties": 1,
    }

    def holds(value: Json) -> bool:
        is_known = isinstance(value, dict) and bool(value) and value.keys() <= set(names)
        return is_known and is_compilable(value)

    return Kind(f"an object of {', '.join(names)}{_COMPILABLE}", schema, holds)


def tools(most: int) -> Kind:
    """Definitions of functions, whose parameters compile in reasonable time."""
    schema = {"type": "array", "items": {"type": "object"}, "maxItems": most}

    def holds(value: Json) -> bool:
        return (
            isinstance(value, list)
            and len(value) <= most
            and all(isinstance(tool, dict) for tool in value)
            and is_compilable(value, times=4)
        )

    return Kind(f"a list of at most {most} objects{_COMPILABLE}", schema, holds)


def choice_of_tool() -> Kind:
    """Whether the model may call tools, or which one."""
    modes = ("none", "auto", "required")
    return Kind(
        "none, auto, required or an object that names a tool",
        {"anyOf": [{"enum": list(modes)}, {"type": "object"}]},
        lambda value: isinstance(value, dict) or (isinstance(value, str) and value in modes),
    )


def is_compilable(schema: Json, times: int = 1) -> bool:
    """Whether a JSON schema, or a value that holds one, can be compiled to a grammar.

    The limits are on values, members of one `enum`, levels, characters of texts and of each
    expression; `times` multiplies all but the levels. No schema may mean only itself.
    """
    characters = 0
    for nodes, (name, value, depth) in enumerate(_walk(schema), start=1):
        characters += len(name) + (len(value) if isinstance(value, str) else 1)
        listed = name in ("enum", "choice") and isinstance(value, list)
        if (
            nodes > _SCHEMA_NODES * times
            or characters > _SCHEMA_BYTES * times
            or depth > _SCHEMA_DEPTH
            or (listed and len(value) > _ENUM_VALUES)
            or (name in _EXPRESSIONS and isinstance(value, str) and len(value) > _EXPRESSION)
        ):
            return False
    return not has_cycle(schema)


def are_token_ids(value: list[Json]) -> bool:
    """Whether a list holds token ids only."""
    return all(_is_whole(item, 0, _LARGEST) for item in value)


def _walk(value: Json) -> Iterator[tuple[str, Json, int]]:
    """Every value, with its name and its depth."""
    waiting: list[tuple[str, Json, int]] = [("", value, 0)]
    while waiting:
        name, found, depth = waiting.pop()
        yield name, found, depth
        if isinstance(found, dict):
            waiting += [(key, inner, depth + 1) for key, inner in found.items()]
        elif isinstance(found, list):
            waiting += [("", inner, depth + 1) for inner in found]


def _are_texts(values: list[Json], longest: int) -> bool:
    return all(isinstance(value, str) and len(value) <= longest for value in values)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Json, low: int, high: int) -> bool:
    # In JSON 7.0 is a whole number like 7.
    is_whole = value.is_integer() if isinstance(value, float) else isinstance(value, int)
    return is_whole and not isinstance(value, bool) and low <= value <= high


_EXPRESSIONS = ("pattern", "regex", "grammar", "whitespace_pattern")
_COMPILABLE = (
    f", of at most {_SCHEMA_NODES} values, {_ENUM_VALUES} in one enum, {_SCHEMA_DEPTH} levels and "
    f"{_SCHEMA_BYTES // 1024} KiB, no expression longer than {_EXPRESSION} characters, and no "
    "schema that refers to itself only"
)
