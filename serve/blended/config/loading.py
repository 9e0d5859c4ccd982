"""Loads a BlendConfig from a preset's name or a YAML file, and names all mistakes at once."""

import difflib
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from blended.config.blend import BlendConfig
from blended.errors import ConfigError, Problem, field_path

try:
    # libyaml reads a manifest in a tenth of the time.
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

Model = TypeVar("Model", bound=BaseModel)


def presets() -> list[str]:
    """The names of the presets that ship with the package."""
    files = resources.files("blended") / "presets"
    return sorted(f.name.removesuffix(".yaml") for f in files.iterdir() if f.name.endswith(".yaml"))


def load(source: str) -> BlendConfig:
    """Read a preset by name, or a YAML file by path.

    Raises:
        ConfigError: the file is missing, unreadable, not YAML, or not a valid blend.
    """
    return parse(_read(source), source)


def parse(text: str, source: str) -> BlendConfig:
    """Check YAML text and make a BlendConfig of it; `source` names it in errors.

    Raises:
        ConfigError: with one line for each mistake.
    """
    return parse_as(BlendConfig, text, source)


def parse_as(model: type[Model], text: str, source: str) -> Model:
    """Check YAML text of another kind of file and make its `model`.

    Raises:
        ConfigError: with one line for each mistake.
    """
    try:
        data = yaml.load(text, Loader=StrictLoader)
    except (yaml.YAMLError, ValueError) as exc:
        raise ConfigError(f"{source} is not valid YAML: {exc}") from exc
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        found = problems(exc, model)
        count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
        lines = "\n".join(f"  {problem}" for problem in found)
        raise ConfigError(f"{source} has {count}:\n{lines}") from exc


def problems(exc: ValidationError, model: type[BaseModel] = BlendConfig) -> list[Problem]:
    """The mistakes behind a pydantic error, in this project's words."""
    return [_problem(error, model) for error in exc.errors(include_url=False)]


def _read(source: str) -> str:
    if source in presets():
        return (resources.files("blended") / "presets" / f"{source}.yaml").read_text("utf-8")
    try:
        return Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        names = ", ".join(presets())
        raise ConfigError(
            f"'{source}' cannot be read ({exc}); give a YAML file or one of the presets: {names}"
        ) from exc


class StrictLoader(SafeLoader):
    """Refuses equal keys, of which PyYAML keeps the last in silence, and depths that crash it."""

    def __init__(self, text: str) -> None:
        _refuse_deep(text)
        super().__init__(text)

    def construct_document(self, node: yaml.Node) -> Any:
        """A document whose mappings have no key twice."""
        _refuse_twice(node, set())
        return super().construct_document(node)


def _refuse_deep(text: str) -> None:
    """Count levels by events, which are read one by one; to compose nodes PyYAML calls itself."""
    depth = 0
    for event in yaml.parse(text, Loader=SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            problem = f"lists and mappings lie more than {_DEEPEST} deep in each other; write fewer"
            mark: Any = event.start_mark
            raise yaml.composer.ComposerError(None, None, problem, mark)


def _refuse_twice(node: yaml.Node, seen: set[int]) -> None:
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        names = Counter(key.value for key in keys)
        for key in (key for key in keys[::-1] if names[key.value] > 1):
            problem = f"the key '{key.value}' stands here twice"
            raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
    for item in node.value:
        for inner in item if isinstance(item, tuple) else (item,):
            _refuse_twice(inner, seen)


def _problem(error: Any, model: type[BaseModel]) -> Problem:
    # The discriminator's tag is a step in pydantic's path, not in the file.
    steps = [s for i, s in enumerate(error["loc"]) if not (i == 2 and s in _KINDS)]
    path = field_path(steps)
    if error["type"] == "extra_forbidden":
        return Problem(path, _unknown_key(str(steps[-1]), model))
    if error["type"] == "missing":
        return Problem(path, "this key is required; add it")
    value = "" if error["type"] == "inconsistent" else f"{error['input']!r} is not valid: "
    message = error["msg"].removeprefix("Value error, ")
    return Problem(path, value + message[:1].lower() + message[1:])


def _unknown_key(key: str, model: type[BaseModel]) -> str:
    close = difflib.get_close_matches(key, sorted(_known_keys(model)), n=1)
    remedy = f"did you mean '{close[0]}'?" if close else "remove it"
    return f"unknown key '{key}'; {remedy}"


def _known_keys(model: Any) -> set[str]:
    """Every key that may occur anywhere below a model."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        fields = model.model_fields
        return set(fields).union(*(_known_keys(f.annotation) for f in fields.values()))
    return set().union(*(_known_keys(arg) for arg in get_args(model)))


_DEEPEST = 200
_KINDS = ("vllm", "remote", "simulated")
