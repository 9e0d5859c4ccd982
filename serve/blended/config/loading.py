"""Loads a BlendConfig from a preset's name or a YAML file, and names all mistakes at once."""

import sys
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from blended.config import engine_files, known_keys, strict_yaml, wording
from blended.config.blend import BlendConfig
from blended.config.inconsistency import Path as Steps
from blended.config.strict_yaml import Document
from blended.errors import ConfigError, Problem, field_path

Model = TypeVar("Model", bound=BaseModel)
# What else is wrong with a file that its model accepts: paths and sentences.
Further = Callable[[Model], Iterable[tuple[Steps, str]]]

STDIN = "-"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def presets() -> list[str]:
    """The names of the presets that ship with the package."""
    files = resources.files("blended") / "presets"
    return sorted(f.name.removesuffix(".yaml") for f in files.iterdir() if f.name.endswith(".yaml"))


def load(source: str) -> BlendConfig:
    """Read a preset by name, a YAML file by path, or the standard input (`-`).

    Models in relative folders have to be on this machine.

    Raises:
        ConfigError: the file is missing, unreadable, not YAML, or not a valid blend.
    """
    return parse(read(source), "stdin" if source == STDIN else source, engine_files.problems)


def parse(text: str, source: str, further: Further[BlendConfig] | None = None) -> BlendConfig:
    """Check YAML text and make a BlendConfig of it; `source` names it in errors.

    Raises:
        ConfigError: with one line for each mistake.
    """
    return parse_as(BlendConfig, text, source, further)


def parse_as(
    model: type[Model], text: str, source: str, further: Further[Model] | None = None
) -> Model:
    """Check YAML text of another kind of file and make its `model`.

    Raises:
        ConfigError: with one line for each mistake.
    """
    document = strict_yaml.read(text, source)
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    if document.data is None and required:
        hint = " ('blended init' writes a blend)" if model is BlendConfig else ""
        keys = ", ".join(required)
        raise ConfigError(f"{source}: this is empty; write at least the keys {keys}{hint}.")
    try:
        made = model.model_validate({} if document.data is None else document.data)
    except ValidationError as exc:
        raise _mistakes(wording.problems(exc, model, document), source) from None
    found = [
        Problem(field_path(steps), message, document.line(steps))
        for steps, message in (further(made) if further else ())
    ]
    if found:
        raise _mistakes(found, source)
    return made


def problems(
    exc: ValidationError,
    model: type[BaseModel] = BlendConfig,
    document: Document | None = None,
) -> list[Problem]:
    """The mistakes behind a pydantic error, in this project's words."""
    return wording.problems(exc, model, document)


def _mistakes(found: list[Problem], source: str) -> ConfigError:
    count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
    in_order = sorted(found, key=lambda problem: problem.line or 0)
    lines = "\n".join(f"  {strict_yaml.place(source, p.line)}: {p}" for p in in_order)
    return ConfigError(f"{source} has {count}:\n{lines}")


def read(source: str) -> str:
    """The text of a preset by name, of a file by path, or of the standard input (`-`).

    Raises:
        ConfigError: the file is missing, unreadable or no text.
    """
    if source in presets():
        return (resources.files("blended") / "presets" / f"{source}.yaml").read_text("utf-8")
    if source == STDIN:
        return decoded(sys.stdin.buffer.read(), "stdin")
    try:
        return decoded(Path(source).read_bytes(), source)
    except FileNotFoundError:
        near = known_keys.closest(source, presets())
        meant = f"did you mean the preset '{near}'? There are" if near else "the presets are"
        raise ConfigError(
            f"'{source}' is neither a file nor a preset; {meant} {', '.join(presets())}."
        ) from None
    except IsADirectoryError:
        raise ConfigError(f"'{source}' is a folder; give the YAML file in it.") from None
    except OSError as exc:
        raise ConfigError(f"'{source}' cannot be read: {exc.strerror}.") from None


def decoded(data: bytes, source: str) -> str:
    """The text of a file.

    Raises:
        ConfigError: it is not UTF-8.
    """
    if data.startswith(_UTF_16) or b"\0" in data:
        raise ConfigError(f"{source}: this is UTF-16, or no text; save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError(
            f"{strict_yaml.place(source, line)}: this is not UTF-8; save the file as UTF-8."
        ) from None
