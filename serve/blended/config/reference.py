"""The page on the configuration, from the models themselves: python -m blended.config.reference

Writes docs/configuration.md; with `--check` it only says whether the page is up to date.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from blended import generated_page
from blended.config.base import Frozen
from blended.config.blend import BlendConfig

PAGE = Path("docs/configuration.md")
_HEAD = """# Configuration

A blend is one YAML file. `blended check FILE` names every mistake in it at once, each with its file
and line; `-` reads the standard input. No message shows what may be a secret: values under headers,
keys and variables, and what stands before the host of an address. `blended init` writes a file to
start from.

The names of accelerators are Ray's, and those below `engine.args` vLLM's
(`serve/blended/config/engine_names.json`; a vLLM that is installed adds its own). The values there
are checked where vLLM's type is a number, true or false, or one of some texts. Relative folders of
models have to be on the machine that checks.

`blended schema > blend.schema.json` writes a JSON Schema, which editors find by the first line of a
file:

```yaml
# yaml-language-server: $schema=blend.schema.json
```

This page is made from the models that check a file, by `python -m blended.config.reference`.
"""
_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "at least", "pattern": "like"}


def page() -> str:
    """All models in the order of a file, each with its fields."""
    return "\n".join([_HEAD, *(_section(model) for model in _models(BlendConfig, set()))])


def _models(model: Any, seen: set[Any]) -> Iterator[type[BaseModel]]:
    """A model, and every other model below it, each once."""
    if isinstance(model, type) and issubclass(model, Frozen):
        if model not in seen:
            seen.add(model)
            yield model
            for field in model.model_fields.values():
                yield from _models(field.annotation, seen)
        return
    for argument in get_args(model):
        yield from _models(argument, seen)


def _section(model: type[BaseModel]) -> str:
    ours = [m for m in model.__mro__ if issubclass(m, Frozen) and m is not Frozen]
    text = "\n\n".join(
        inspect.cleandoc(m.__doc__ or "").split("\nRaises:")[0].strip() for m in ours
    )
    rows = [_row(name, field) for name, field in model.model_fields.items()]
    table = ["| field | what it is | default |", "|---|---|---|", *rows]
    return f"## {model.__name__}\n\n{text}\n\n" + "\n".join(table) + "\n"


def _row(name: str, field: FieldInfo) -> str:
    bounds = ", ".join(_bounds(field.metadata))
    what = _words(field.annotation) + (f", {bounds}" if bounds else "")
    return f"| `{name}` | {what} | {_default(field)} |"


def _bounds(metadata: Sequence[Any]) -> Iterator[str]:
    """The bounds of a number, a text or a list, in words."""
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _bounds(item.metadata)
        for attribute, word in _BOUNDS.items():
            value = getattr(item, attribute, None)
            if value is not None:
                shown = str(value).replace("|", "\\|")
                yield f"{word} `{shown}`" if attribute == "pattern" else f"{word} {shown}"


def _words(kind: Any) -> str:
    """A type, in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        bounds = ", ".join(_bounds(arguments[1:]))
        return _words(arguments[0]) + (f" ({bounds})" if bounds else "")
    if origin in (Union, UnionType):
        return " or ".join(_words(a) for a in arguments if a is not NoneType)
    if origin is Literal:
        return " or ".join(f"`{a}`" for a in arguments)
    if origin is tuple:
        items = [a for a in arguments if a is not Ellipsis]
        return "list of " + ", ".join(dict.fromkeys(map(_words, items)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{_words(arguments[1])} by name"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    return _NAMES.get(kind, "anything")


_NAMES = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, BaseModel):
        given = field.default.model_dump(exclude_unset=True)
        inside = ", ".join(f"{name}: {value}" for name, value in given.items())
        return f"`{{{inside}}}`" if given else "as there"
    if field.default in (None, (), "") or field.default == {}:
        return "-"
    return f"`{field.default}`".replace("True", "true").replace("False", "false")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or compare it; 1 if it is not up to date."""
    return generated_page.run("blended.config.reference", PAGE, page(), arguments)


if __name__ == "__main__":
    sys.exit(main())
