"""Mistakes in a file, in words that say what to write, and that show no secret."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from blended.config.strict_yaml import Document
from blended.errors import Problem, field_path

_KINDS = ("vllm", "remote", "simulated")
_LONGEST = 60
# The least similarity of a word to the one that it is taken for.
_ALIKE = 0.7
# Names of fields, and beginnings of texts, behind which people keep secrets.
_SECRET_NAME = re.compile(
    r"(^|[_-])(key|token|secret|password|passwd|auth\w*|cookie|credentials?|headers?|env)($|[_-])",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"(?<![\w-])((sk-|xox[a-z]-|Bearer |Basic )[^\s',;]+|(hf_|gh[pousr]_|AKIA|eyJ)[A-Za-z0-9]{12,}\S*)"
)
_CREDENTIALS = re.compile(r"://[^/\s@]*@")
_QUERY = re.compile(r"(://[^\s?#]*)[?#].*")

_NUMBER = "write a number"
_REMEDIES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "string_type": lambda _: "put the text in quotes",
    "bool_type": lambda _: "write true or false",
    "bool_parsing": lambda _: "write true or false",
    "int_type": lambda _: "write a whole number",
    "int_parsing": lambda _: "write a whole number",
    "int_from_float": lambda _: "write a whole number",
    "float_type": lambda _: _NUMBER,
    "float_parsing": lambda _: _NUMBER,
    "finite_number": lambda _: _NUMBER,
    "greater_than": lambda ctx: f"write more than {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"write {ctx['ge']:g} or more",
    "less_than": lambda ctx: f"write less than {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"write {ctx['le']:g} or less",
    "literal_error": lambda ctx: f"write {ctx['expected']}",
    "mapping_type": lambda _: "write a mapping, such as {name: value}",
    "dict_type": lambda _: "write a mapping, such as {name: value}",
    "tuple_type": lambda _: "write a list, such as [first, second]",
    "list_type": lambda _: "write a list, such as [first, second]",
    "string_too_short": lambda _: "write a text",
    "too_short": lambda ctx: f"write {ctx['min_length']} or more",
    "too_long": lambda ctx: f"write {ctx['max_length']} or fewer",
    "timezone_aware": lambda _: _TIME,
    "datetime_type": lambda _: _TIME,
    "datetime_parsing": lambda _: _TIME,
    "datetime_from_date_parsing": lambda _: _TIME,
}
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
}


def problems(
    exc: ValidationError, model: type[BaseModel], document: Document | None = None
) -> list[Problem]:
    """The mistakes behind a pydantic error; with a document, each has its line."""
    errors = [(list(_steps(error["loc"])), error) for error in exc.errors(include_url=False)]
    unknown = [steps for steps, error in errors if error["type"] == "extra_forbidden"]
    found = []
    for steps, error in errors:
        if error["type"] == "missing" and _is_misspelt(steps, unknown):
            continue
        path, message = _worded(steps, error, model, document, _missing(steps, errors))
        line = None if document is None else document.line(_places(path))
        # Between fields, messages name components and arms as the file does.
        message = _SECRET_TEXT.sub("…", message)
        found.append(Problem(field_path(_places(path)), message, line))
    return found


def shown(value: Any, steps: Iterable[int | str] = (), written: str | None = None) -> str:
    """A value of a file as a message may show it: nothing that could be a secret, nothing long."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if any(isinstance(step, str) and _SECRET_NAME.search(step) for step in steps):
        return "this value"
    if not isinstance(value, str):
        return written or (value.isoformat() if isinstance(value, date) else str(value))
    if _SECRET_TEXT.match(value):
        return "this value"
    text = _QUERY.sub(r"\1?…", _CREDENTIALS.sub("://…@", value))
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody may have meant; None if none is like it."""
    names = sorted(known)
    lower = {known.lower(): known for known in names}
    if name.lower() in lower:
        return lower[name.lower()]
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=_ALIKE)), None)


def _steps(loc: Iterable[int | str]) -> Iterable[int | str]:
    """Pydantic's path without its mark of a mapping's key."""
    return (step for step in loc if step != "[key]")


def _places(steps: Sequence[int | str]) -> list[int | str]:
    """The path in the file, which has no step for the kind of a component."""
    return [step for i, step in enumerate(steps) if not (i == 2 and step in _KINDS)]


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
        return steps, _unknown_key(steps, model, missing)
    if kind == "union_tag_not_found":
        return [*steps, "kind"], f"this key is required; write kind: {', '.join(_KINDS)}"
    if kind == "union_tag_invalid":
        return [*steps, "kind"], _choice(error["input"]["kind"], _KINDS)
    if kind in ("model_type", "model_attributes_type"):
        keys = ", ".join(_keys(_models_at(model, [*steps, ""])))
        return steps, f"{_stands(error['input'])} stands here; write a mapping with keys of: {keys}"
    if kind == "literal_error" and isinstance(error["input"], str):
        choices = re.findall(r"'([^']*)'", context["expected"])
        return steps, _choice(error["input"], choices, steps)
    written = None if document is None else document.written(_places(steps))
    value = shown(error["input"], steps, written)
    return steps, f"{value} is not valid: {_remedy(error, context, message, value)}"


def _absent(steps: Sequence[int | str]) -> str:
    key = steps[-1] if steps else ""
    return (
        "a value is missing here; add it"
        if isinstance(key, int)
        else ("this key is required; add it")
    )


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
        return _PATTERNS.get(context["pattern"], f"it has to match {context['pattern']}")
    if error["input"] is None and kind in _REMEDIES:
        return "write a value behind the colon, or remove the key"
    if kind == "string_type" and isinstance(error["input"], bool):
        return f"YAML reads it as {str(error['input']).lower()}; quote it: '{value}'"
    if kind == "string_type" and not isinstance(error["input"], Mapping | list):
        return (
            f"YAML reads no text; quote it: '{value}'"
            if value != "this value"
            else ("YAML reads no text; put it in quotes")
        )
    if kind == "string_type":
        return "write a text"
    remedy = _REMEDIES.get(kind)
    return message[:1].lower() + message[1:] if remedy is None else remedy(context)


def _unknown_key(steps: Sequence[int | str], model: type[BaseModel], missing: Sequence[str]) -> str:
    """What to write in place of an unknown key: one like it here, its place, or the keys here."""
    key, here = str(steps[-1]), _models_at(model, steps)
    keys = _keys(here)
    if near := closest(key, missing) or closest(key, keys):
        return f"unknown key '{key}'; did you mean '{near}'?"
    for name in keys:
        if key in _keys(_models_at(model, [*steps[:-1], name, ""])):
            return f"unknown key '{key}'; it belongs under '{name}', beside this one"
    if near := closest(key, _known_keys(model)):
        return f"unknown key '{key}'; did you mean '{near}'? The keys here are {', '.join(keys)}"
    return f"unknown key '{key}'; remove it: the keys here are {', '.join(keys)}"


def _models_at(model: type[BaseModel], steps: Sequence[int | str]) -> set[type[BaseModel]]:
    """The models that may stand at a path but its last step."""
    found = {model}
    for step in steps[:-1]:
        if step in _KINDS and any("kind" in m.model_fields for m in found):
            found = {m for m in found if step in get_args(m.model_fields["kind"].annotation)}
        elif isinstance(step, str):
            fields = [m.model_fields[step] for m in found if step in m.model_fields]
            found = set().union(*(_models(field.annotation) for field in fields)) or found
    return found


def _models(annotation: Any) -> set[type[BaseModel]]:
    """The models that an annotation names, not those inside of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    if get_origin(annotation) is Literal:
        return set()
    return set().union(*(_models(argument) for argument in get_args(annotation)))


def _keys(models: Iterable[type[BaseModel]]) -> list[str]:
    """The keys of models, each once, in their order."""
    return list(dict.fromkeys(key for model in models for key in model.model_fields))


def _known_keys(model: Any) -> set[str]:
    """Every key that may occur anywhere below a model."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        fields = model.model_fields
        return set(fields).union(*(_known_keys(f.annotation) for f in fields.values()))
    return set().union(*(_known_keys(arg) for arg in get_args(model)))
