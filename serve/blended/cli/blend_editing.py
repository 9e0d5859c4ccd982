"""Puts values into the text of a blend's file: every other byte of it stays, comments too."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from blended.config import loading
from blended.errors import ConfigError

_Edit = tuple[int, int, str]


def with_value(text: str, path: Sequence[str | int], value: Any, source: str) -> str:
    """The text with a value at a path of keys and of places in lists; keys that lack are put in.

    A mapping of values is put into the one that is there, key by key. `source` names the file in
    errors.

    Raises:
        ConfigError: the text is no blend, or would be none, or only a person can edit it.
    """
    loading.parse(text, source)
    edited = text
    edits = list(_edits(text, yaml.compose(text, Loader=yaml.SafeLoader), path, value))
    for start, end, new in sorted(edits, reverse=True):
        edited = edited[:start] + new + edited[end:]
    wanted = _unshared(yaml.safe_load(text))
    _put(wanted, path, yaml.safe_load(_shown(value)))
    if not _holds(edited, wanted):
        *within, name = (step for step in path if isinstance(step, str))
        raise ConfigError(
            f"'{source}' is written in a way that only a person can edit; write "
            f"{name}: {_shown(value)} into its {' '.join(within)}."
        )
    loading.parse(edited, source)
    return edited


def _holds(edited: str, wanted: Any) -> bool:
    try:
        found = yaml.safe_load(edited)
    except yaml.YAMLError:
        return False
    return bool(found == wanted)


def _unshared(data: Any) -> Any:
    """A copy in which an alias is a value of its own: a change of one is no change of the other."""
    if isinstance(data, Mapping):
        return {key: _unshared(value) for key, value in data.items()}
    return [_unshared(value) for value in data] if isinstance(data, list) else data


def _put(data: Any, path: Sequence[str | int], value: Any) -> None:
    for step in path[:-1]:
        data = data.setdefault(step, {}) if isinstance(data, dict) else data[step]
    there = data.get(path[-1])
    is_both = isinstance(there, dict) and isinstance(value, dict)
    data[path[-1]] = there | value if is_both else value


def _edits(text: str, node: Any, path: Sequence[str | int], value: Any) -> Iterator[_Edit]:
    """What to put in place of which characters, below a node."""
    if not path and isinstance(node, yaml.MappingNode) and isinstance(value, Mapping):
        for name, part in value.items():
            yield from _edits(text, node, [name], part)
    elif not path and (isinstance(node, yaml.ScalarNode) or node.flow_style):
        yield node.start_mark.index, node.end_mark.index, _shown(value)
    elif path and (child := _child(node, path[0])) is not None:
        yield from _edits(text, child, path[1:], value)
    elif path and isinstance(node, yaml.MappingNode) and node.value:
        pair = f"{_text(str(path[0]))}: {_shown(_nested(path[1:], value))}"
        yield _insertion(text, node, pair)


def _child(node: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return node.value[step] if isinstance(node, yaml.SequenceNode) else None
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == step), None)


def _nested(path: Sequence[str | int], value: Any) -> Any:
    """A value inside of the mappings that lead to it."""
    for step in reversed(path):
        value = {step: value}
    return value


def _insertion(text: str, node: yaml.MappingNode, pair: str) -> _Edit:
    """Where a pair goes: below the first one, of a whole file at its end."""
    key, first = node.value[0]
    at, column = key.start_mark.index, key.start_mark.column
    end = "\r\n" if "\r\n" in text else "\n"
    if node.flow_style:
        return at, at, f"{pair}, "
    if column == 0:
        begin = "" if text.endswith(end) else end
        return len(text), len(text), f"{begin}{pair}{end}"
    below = text.find("\n", first.end_mark.index) + 1
    if isinstance(first, yaml.ScalarNode) and below:
        return below, below, f"{' ' * column}{pair}{end}"
    return at, at, f"{pair}{end}{' ' * column}"


def _shown(value: Any) -> str:
    """A value in one line; a text in quotes if some reader of YAML would take it for no text."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(k)}: {_shown(v)}" for k, v in value.items()) + "}"
    return _text(value) if isinstance(value, str) else f"{value:g}"


def _text(text: str) -> str:
    is_plain = yaml.safe_load(text) == text and not text[:1].isdigit()
    return text if is_plain else json.dumps(text)
