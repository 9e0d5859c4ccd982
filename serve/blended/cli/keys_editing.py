"""Edits of a keys file's text that keep everything else in it, comments too."""

from collections.abc import Mapping
from io import StringIO
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tokens import CommentToken

from blended.errors import ConfigError
from blended.router.access import keys_file

EMPTY = "keys: []\n"

# The indices at which ruamel keeps the comments of a key or an item: those behind and below it, or,
# for a field whose value is a list, those above the list's first item.
_BEHIND, _ABOVE_ITEMS = 2, 3


def with_entry(text: str, fields: Mapping[str, Any], source: str) -> str:
    """The text with one more entry at the end; `source` names the file in errors.

    Raises:
        ConfigError: the text or the entry is wrong, or the name is taken.
    """
    entries = keys_file.parse(text, source)
    if fields["name"] in {entry.name for entry in entries}:
        message = f"'{source}' has a key '{fields['name']}'; remove it first, or take another name."
        raise ConfigError(message)
    writer, root = _loaded(text)
    below = _take_comments_below(root, len(entries) - 1)
    root["keys"].append(CommentedMap((name, _scalar(value)) for name, value in fields.items()))
    if not entries and not root.fa.flow_style():
        root["keys"].fa.set_block_style()
    _put_comments_below(root, len(entries), below)
    edited = _dumped(writer, root)
    if keys_file.parse(edited, source)[:-1] != entries:
        raise _unusual(source)
    return edited


def without_entry(text: str, name: str, source: str) -> str:
    """The text without the entry `name`; comments on lines of their own stay.

    Raises:
        ConfigError: the text is wrong, or has no such entry.
    """
    entries = keys_file.parse(text, source)
    rest = tuple(entry for entry in entries if entry.name != name)
    if len(rest) == len(entries):
        known = ", ".join(entry.name for entry in entries) or "none"
        raise ConfigError(f"'{source}' has no key '{name}'; the keys are: {known}.")
    writer, root = _loaded(text)
    index = [entry.name for entry in entries].index(name)
    below = _take_comments_below(root, index)
    del root["keys"][index]
    _put_comments_below(root, index - 1, below)
    if not rest:
        _empty(root)
    edited = _dumped(writer, root)
    if keys_file.parse(edited, source) != rest:
        raise _unusual(source)
    return edited


def _loaded(text: str) -> tuple[YAML, CommentedMap]:
    """The file's document, and a writer that keeps its form."""
    writer = YAML()
    writer.preserve_quotes, writer.width = True, 10**6
    root = writer.load(text)
    keys = root["keys"]
    if keys and not keys.fa.flow_style():
        # The column of the dash, and that of its item.
        writer.indent(sequence=keys[0].lc.col, offset=keys.lc.col)
    return writer, root


def _dumped(writer: YAML, root: CommentedMap) -> str:
    text = StringIO()
    writer.dump(root, text)
    return text.getvalue()


def _scalar(value: Any) -> Any:
    """The value, quoted if the router, which reads YAML 1.1, would not read it as text: `on`."""
    is_plain = not isinstance(value, str) or yaml.safe_load(value) == value
    return value if is_plain else DoubleQuotedScalarString(value)


def _comments(root: CommentedMap, index: int) -> tuple[list[Any], int]:
    """The slot of the comments below an entry; index -1 is for those above the first."""
    if index < 0:
        slots = root.ca.items.setdefault("keys", [None] * 4)
        return slots, _BEHIND
    keys = root["keys"]
    if keys[index].fa.flow_style():
        return keys.ca.items.setdefault(index, [None] * 4), 0
    return keys[index].ca.items.setdefault(list(keys[index])[-1], [None] * 4), _BEHIND


def _take_comments_below(root: CommentedMap, index: int) -> str:
    """Remove and return the lines between an entry, with a comment behind it, and the next one."""
    slots, at = _comments(root, index)
    if slots[at] is None:
        return ""
    behind, _, below = slots[at].value.partition("\n")
    slots[at].value = behind + "\n"
    return str(below)


def _put_comments_below(root: CommentedMap, index: int, below: str) -> None:
    slots, at = _comments(root, index)
    if not below:
        return
    if index < 0 and slots[_ABOVE_ITEMS]:
        slots[_ABOVE_ITEMS].append(_token(below))
    elif slots[at]:
        slots[at].value += below
    else:
        slots[at] = _token("\n" + below)


def _empty(root: CommentedMap) -> None:
    """Write `[]` behind `keys:`, and below it the comments above the first entry."""
    slots, at = _comments(root, -1)
    behind, above = slots[at], slots[_ABOVE_ITEMS] or []
    text = "".join([behind.value if behind else "\n", *(token.value for token in above)])
    slots[at], slots[_ABOVE_ITEMS] = _token(text), None
    root["keys"] = CommentedSeq()
    root["keys"].fa.set_flow_style()


def _token(text: str) -> CommentToken:
    return CommentToken(text, CommentMark(0), None)


def _unusual(source: str) -> ConfigError:
    return ConfigError(
        f"'{source}' is written in a way that only a person can edit; do it by hand."
    )
