"""Mistakes in a file, in words that say what to write, and that show no secret."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from blended.config.known_keys import (
    COMPONENT_KINDS,
    KINDS,
    REWARD_KINDS,
    closest,
    models_at,
    unknown_key,
)
from blended.config.known_keys import keys as keys_of
from blended.config.shown_values import HIDDEN, shown, without_secrets
from blended.config.strict_yaml import Document
from blended.errors import Problem, field_path
from blended.internal import REWARD

_NUMBER = "write a number"
_WHOLE = "write a whole number"
_LIST = "write a list, each entry behind a dash, or [first, second]"
_REMEDIES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "bool_type": lambda _: "write true or false",
    "bool_parsing": lambda _: "write true or false",
    "int_type": lambda _: _WHOLE,
    "int_parsing": lambda _: _WHOLE,
    "int_from_float": lambda _: _WHOLE,
    "float_type": lambda _: _NUMBER,
    "float_parsing": lambda _: _NUMBER,
    "finite_number": lambda _: _NUMBER,
    "greater_than": lambda ctx: f"write more than {_plain(ctx['gt'])}",
    "greater_than_equal": lambda ctx: f"write {_plain(ctx['ge'])} or more",
    "less_than": lambda ctx: f"write less than {_plain(ctx['lt'])}",
    "less_than_equal": lambda ctx: f"write {_plain(ctx['le'])} or less",
    "literal_error": lambda ctx: f"write {ctx['expected']}",
    "mapping_type": lambda _: "write a mapping, such as {name: value}",
    "dict_type": lambda _: "write a mapping, such as {name: value}",
    "tuple_type": lambda _: _LIST,
    "list_type": lambda _: _LIST,
    "none_required": lambda _: "it cannot be set here; remove the key",
    "string_too_short": lambda _: "write a text",
    "too_short": lambda ctx: f"write {ctx['min_length']} entries or more",
    "too_long": lambda ctx: f"write {ctx['max_length']} entries or fewer",
    "timezone_aware": lambda _: _TIME,
    "datetime_type": lambda _: _TIME,
    "datetime_parsing": lambda _: _TIME,
    "datetime_from_date_parsing": lambda _: _TIME,
}
_NO_UNIT = "without a unit, such as 0.5 or 8e9"
_TIME = "write a time like 2027-01-31 or 2027-01-31T12:00:00Z"
# By the pattern that a text has to match.
_PATTERNS = {
    "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$": (
        "write at most 40 lower-case letters, digits and dashes, with no dash at the ends"
    ),
    r"^https?://[^\s?#]+$": "write an address like https://api.example.org/v1, without ? and #",
    "^[A-Za-z_][A-Za-z0-9_]*$": "write the name of an environment variable, such as EXAMPLE_KEY",
    "^[A-Za-z_][A-Za-z0-9_]{0,63}$": "write the name of a request's field, such as ignore_eos",
    r"^(memory|rediss?)://\S*$": "write memory:// or redis://host:6379",
    "^[0-9a-f]{12}$": "write the 12 digits and letters that `blended learn fit` printed, in quotes",
}


def problems(
    exc: ValidationError, model: type[BaseModel], document: Document | None = None
) -> list[Problem]:
    """The mistakes behind a pydantic error; with a document, each has its line."""
    errors = [
        (list(_steps(error["loc"])), error)
        for error in exc.errors(include_url=False)
        if not _is_counted_wrong(error)
    ]
    unknown = [steps for steps, error in errors if error["type"] == "extra_forbidden"]
    found = []
    for steps, error in errors:
        if error["type"] == "missing" and _is_misspelt(steps, unknown):
            continue
        if _is_key(error):
            found.append(_odd_key(steps, error, model, document))
            continue
        path, message = _worded(steps, error, model, document, _missing(steps, errors))
        line = None if document is None else document.line(_places(path))
        # Between fields, messages name components and arms as the file does.
        place = without_secrets(field_path(_places(path)))
        found.append(Problem(place, without_secrets(message), line))
    return found


def _is_counted_wrong(error: Any) -> bool:
    """Whether a list is too short only because pydantic leaves out its entries with mistakes."""
    return bool(error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"])


def _is_key(error: Any) -> bool:
    """Whether what is wrong is a key that YAML reads as another thing than a text."""
    is_text = isinstance(error["input"], str)
    return error["type"] == "invalid_key" or (error["loc"][-1:] == ("[key]",) and not is_text)


def _odd_key(
    steps: Sequence[int | str], error: Any, model: type[BaseModel], document: Document | None
) -> Problem:
    """The mistake of such a key, at the mapping that has it."""
    above = _places(steps[:-1])
    key = steps[-1] if error["type"] == "invalid_key" else error["input"]
    line, written = (None, str(key)) if document is None else document.line_of_key(above, key)
    remedy = _as_text(key, written)
    if error["type"] == "invalid_key":
        known = ", ".join(keys_of(models_at(model, steps)))
        remedy = f"write a decimal point for a comma; the keys here are {known}"
    message = f"the key {written} is not valid: {remedy}"
    return Problem(field_path(above), without_secrets(message), line)


def _plain(number: float) -> str:
    """A limit with all its digits."""
    return f"{number:.15g}"


def _steps(loc: Iterable[int | str]) -> Iterable[int | str]:
    """Pydantic's path without its mark of a mapping's key."""
    return (step for step in loc if step != "[key]")


def _places(steps: Sequence[int | str]) -> list[int | str]:
    """The path in the file, which has no step for the kind of a component or reward model."""
    at = 1 if steps[:1] == [REWARD] else 2
    return [step for i, step in enumerate(steps) if not (i == at and step in KINDS)]


def _kinds(steps: Sequence[int | str]) -> Sequence[str]:
    """The kinds of what stands at a path."""
    return REWARD_KINDS if steps[:1] == [REWARD] else COMPONENT_KINDS


def _is_misspelt(steps: Sequence[int | str], unknown: Sequence[Sequence[int | str]]) -> bool:
    """Whether a missing key stands there, but for a letter or two."""
    beside = [str(u[-1]) for u in unknown if list(u[:-1]) == list(steps[:-1])]
    return any(closest(name, [str(steps[-1])]) for name in beside)


def _missing(steps: Sequence[int | str], errors: Sequence[tuple[Any, Any]]) -> list[str]:
    """The keys that are missing beside the one at a path."""
    return [
        str(other[-1])
        for other, error in errors
        if error["type"] == "missing" and other[:-1] == list(steps[:-1])
    ]


def _worded(
    steps: Sequence[int | str],
    error: Any,
    model: type[BaseModel],
    document: Document | None,
    missing: Sequence[str],
) -> tuple[Sequence[int | str], str]:
    """The path of a mistake, and what to do about it."""
    kind, context = error["type"], error.get("ctx", {})
    message = error["msg"].removeprefix("Value error, ")
    if kind == "inconsistent":
        return steps, message
    if kind == "missing":
        return steps, _absent(steps)
    if kind == "extra_forbidden":
        return steps, unknown_key(steps, model, missing)
    if kind == "union_tag_not_found":
        return [*steps, "kind"], f"this key is required; write kind: {', '.join(_kinds(steps))}"
    if kind == "union_tag_invalid":
        return [*steps, "kind"], _choice(error["input"]["kind"], _kinds(steps))
    if kind in ("model_type", "model_attributes_type"):
        keys = ", ".join(keys_of(models_at(model, [*steps, ""])))
        return steps, f"{_stands(error['input'])} stands here; write a mapping with keys of: {keys}"
    if kind == "literal_error" and isinstance(error["input"], str):
        choices = re.findall(r"'([^']*)'", context["expected"])
        return steps, _choice(error["input"], choices, steps)
    written = None if document is None else document.written(_places(steps))
    value = shown(error["input"], steps, written)
    return steps, f"{value} is not valid: {_remedy(error, context, message, value)}"


def _absent(steps: Sequence[int | str]) -> str:
    is_item = bool(steps) and isinstance(steps[-1], int)
    return "a value is missing here; add it" if is_item else "this key is required; add it"


def _choice(value: Any, choices: Sequence[str], steps: Sequence[int | str] = ()) -> str:
    near = closest(value, choices) if isinstance(value, str) else None
    remedy = f"did you mean '{near}'? There " if near else "there "
    return f"{shown(value, steps)} is unknown; {remedy}are {', '.join(choices)}"


def _stands(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list | tuple):
        return "a list"
    return "a text" if isinstance(value, str) else "a number or another single value"


def _remedy(error: Any, context: Mapping[str, Any], message: str, value: str) -> str:
    kind = error["type"]
    if kind == "string_pattern_mismatch":
        remedy = _PATTERNS.get(context["pattern"], f"it has to match {context['pattern']}")
        return remedy + _look_alike(error["input"] if value != HIDDEN else "")
    if error["input"] is None and (kind in _REMEDIES or kind == "string_type"):
        return "write a value behind the colon, or remove the key"
    if kind == "string_type":
        return _as_text(error["input"], value)
    if kind in ("int_parsing", "float_parsing") and error["input"][:1].isdigit():
        return f"{_WHOLE} in digits alone" if kind == "int_parsing" else f"{_NUMBER} {_NO_UNIT}"
    worded = _REMEDIES.get(kind)
    return message[:1].lower() + message[1:] if worded is None else worded(context)


def _look_alike(text: str) -> str:
    """The first character of a text that may look like a plain one, and is another."""
    odd = next((letter for letter in text if not letter.isascii()), None)
    return "" if odd is None else f"; {odd!r} (U+{ord(odd):04X}) is none of them"


def _as_text(given: Any, value: str) -> str:
    """How to write what YAML reads as something else than a text."""
    if isinstance(given, Mapping | list):
        return "write a text"
    if value == HIDDEN:
        return "YAML reads no text; put it in quotes"
    read = f"it as {str(given).lower()}" if isinstance(given, bool) else "no text"
    return f"YAML reads {read}; quote it: '{value}'"
