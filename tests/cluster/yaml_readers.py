"""Texts as different readers of YAML see them: Python's, YAML 1.1's, YAML 1.2's, Go's."""

import json
import re
import warnings
from collections.abc import Callable
from typing import Any

import yaml
from ruamel.yaml import YAML

from blended.config.strict_yaml import StrictLoader

_WORDS = {
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "off", "Off", "OFF"], False),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    **dict.fromkeys(["", "~", "null", "Null", "NULL"], None),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], float("nan")),
    **dict.fromkeys([".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"], float("inf")),
    **dict.fromkeys(["-.inf", "-.Inf", "-.INF"], float("-inf")),
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def readings(text: str) -> dict[str, list[Any]]:
    """The documents that each reader sees."""
    return {name: read(text) for name, read in READERS.items()}


def shown(value: Any) -> str:
    """A value as a text that tells 1, true and "1" apart."""
    return json.dumps(value, default=lambda other: f"{type(other).__name__} {other}")


def _python(text: str) -> list[Any]:
    return [d for d in yaml.load_all(text, Loader=StrictLoader) if d is not None]


def _ruamel(version: tuple[int, int]) -> Callable[[str], list[Any]]:
    def read(text: str) -> list[Any]:
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [d for d in reader.load_all(text) if d is not None]

    return read


class _GoLoader(yaml.BaseLoader):
    """Every scalar a text, of which plain ones are resolved as resolve.go of goyaml v2 does."""


def _resolved(loader: _GoLoader, node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    plain = text.replace("_", "")
    if text[0] not in "+-.0123456789":
        return text
    if (number := _integer(plain)) is not None:
        return number
    return float(plain) if _FLOAT.fullmatch(plain) else text


def _integer(plain: str) -> int | None:
    """As strconv.ParseInt with base 0 reads it."""
    sign, digits = (plain[:1], plain[1:]) if plain[:1] in ("+", "-") else ("", plain)
    if re.fullmatch(r"0[0-7]+", digits):
        digits = f"0o{digits[1:]}"
    if not re.fullmatch(r"[0-9][0-9a-zA-Z]*", digits):
        return None
    try:
        return int(f"{sign}{digits}", 0)
    except ValueError:
        return None


_GoLoader.add_constructor("tag:yaml.org,2002:str", _resolved)


def _go(text: str) -> list[Any]:
    return [d for d in yaml.load_all(text, Loader=_GoLoader) if d is not None]


READERS: dict[str, Callable[[str], list[Any]]] = {
    "Python": _python,
    "YAML 1.1": _ruamel((1, 1)),
    "YAML 1.2": _ruamel((1, 2)),
    "Go": _go,
}
