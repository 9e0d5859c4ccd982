"""Edits of a keys file's text that leave everything else in it as it is, comments too."""

import contextlib
from collections.abc import Mapping
from typing import Any

import yaml

from blended.errors import ConfigError
from blended.router.access import keys_file
from blended.router.access.keys_file import KeyEntry

EMPTY = "keys: []\n"


def with_entry(text: str, fields: Mapping[str, Any], source: str) -> str:
    """The text with one more entry at the end; `source` names the file in errors.

    Raises:
        ConfigError: the text or the entry is wrong, or the name is taken.
    """
    entries = keys_file.parse(text, source)
    if fields["name"] in {entry.name for entry in entries}:
        message = f"'{source}' has a key '{fields['name']}'; remove it first, or take another name."
        raise ConfigError(message)
    given = [*yaml.safe_load(text)["keys"], dict(fields)]
    expected = keys_file.parse(_block({"keys": given}), source)
    root, sequence = _nodes(text)
    if root.flow_style or (sequence.flow_style and entries):
        return _checked(_replaced(text, sequence, " " + _flow(given)), expected, source)
    if not entries:
        edited = _replaced(text, sequence, "\n" + _indented(_block(given), 2).rstrip())
        return _checked(edited, expected, source)
    lines = _lines(text)
    entry = _indented(_block(given[-1:]), sequence.start_mark.column)
    lines.insert(_last_line(sequence.value[-1]) + 1, entry)
    return _checked("".join(lines), expected, source)


def without_entry(text: str, name: str, source: str) -> str:
    """The text without the entry `name`; a comment that stands before the entry stays.

    Raises:
        ConfigError: the text is wrong, or has no such entry.
    """
    entries = keys_file.parse(text, source)
    rest = tuple(entry for entry in entries if entry.name != name)
    if len(rest) == len(entries):
        known = ", ".join(entry.name for entry in entries) or "none"
        raise ConfigError(f"'{source}' has no key '{name}'; the keys are: {known}.")
    _, sequence = _nodes(text)
    if sequence.flow_style:
        given = [entry for entry in yaml.safe_load(text)["keys"] if entry["name"] != name]
        return _checked(_replaced(text, sequence, " " + _flow(given)), rest, source)
    node = next(n for e, n in zip(entries, sequence.value, strict=True) if e.name == name)
    lines = _lines(text)
    lines[node.start_mark.line : _last_line(node) + 1] = [] if rest else ["  []\n"]
    return _checked("".join(lines), rest, source)


def _nodes(text: str) -> tuple[yaml.MappingNode, yaml.SequenceNode]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "the text was checked"
    return root, next(value for key, value in root.value if key.value == "keys")


def _block(data: Any) -> str:
    text: str = yaml.safe_dump(data, sort_keys=False)
    return text


def _flow(entries: list[Any]) -> str:
    text: str = yaml.safe_dump(entries, default_flow_style=True, sort_keys=False, width=10**6)
    return text.rstrip()


def _lines(text: str) -> list[str]:
    return (text if text.endswith("\n") else text + "\n").splitlines(keepends=True)


def _last_line(entry: yaml.MappingNode) -> int:
    """The end of a block mapping is where the next thing begins, comments skipped."""
    end = entry if entry.flow_style else entry.value[-1][1]
    line: int = end.end_mark.line
    return line


def _indented(text: str, columns: int) -> str:
    return "".join(" " * columns + line for line in text.splitlines(keepends=True))


def _replaced(text: str, node: yaml.Node, new: str) -> str:
    return text[: node.start_mark.index].rstrip() + new + text[node.end_mark.index :]


def _checked(text: str, expected: tuple[KeyEntry, ...], source: str) -> str:
    """YAML can be written in more ways than are edited here; none may be damaged."""
    with contextlib.suppress(ConfigError):
        if keys_file.parse(text, source) == expected:
            return text
    raise ConfigError(f"'{source}' is written in a way that only a person can edit; do it by hand.")
