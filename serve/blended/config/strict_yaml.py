"""YAML, read strictly: no key twice, no depth that crashes PyYAML, and the line of every value."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from blended.errors import ConfigError

try:
    # libyaml reads a manifest in a tenth of the time.
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

_DEEPEST = 200
# What looks like a space at the beginning of a line, and is none to YAML.
_NO_SPACE = re.compile(r"^ *([\u00a0\u2000-\u200b\u202f\u3000])", re.MULTILINE)
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
# The parser's own words, and what they mean to the author of a file.
_MEANINGS = (
    (
        "cannot start any token",
        "a tab, @, ` or %; indent with spaces, and quote a text that begins with one of the others",
    ),
    ("tab character", "a tab; indent with spaces"),
    (
        "mapping values are not allowed",
        "a colon that cannot stand here; quote a text that has one, or look for a missing colon or "
        "a wrong indentation in the line above",
    ),
    (
        "did not find expected",
        "an indentation, a quote, a bracket or a comma that does not fit here",
    ),
    ("could not find expected ':'", "a key without a colon behind it"),
    ("unexpected end of stream", "a quote or a bracket that is never closed"),
    ("another document", "a second document; remove it, and the '---' above it"),
    ("undefined alias", "an alias for which there is no anchor (&name) above"),
    ("could not determine a constructor", "a tag (!) that is not known; remove it"),
    (
        "unknown escape character",
        "a backslash in double quotes that begins no known escape; write two of them, or quote the "
        "text with '",
    ),
    ("for merging", "what << merges is no mapping; write an alias of one, such as *name"),
    ("unhashable key", "a list or a mapping as a key; write a text"),
)


@dataclass(frozen=True)
class Document:
    """What a text holds, and where each of its values is written."""

    data: Any
    root: yaml.Node | None = field(repr=False)

    def line(self, steps: Iterable[int | str]) -> int | None:
        """The line, from 1, of the value at a path, or of the last step that is there."""
        mark = None if self.root is None else self.root.start_mark
        node = self.root
        for step in steps:
            key, node = _inner(node, step)
            if node is None:
                break
            mark = key.start_mark
        return _line(mark)

    def line_of_key(self, steps: Iterable[int | str], key: Any) -> tuple[int | None, str]:
        """The line of a key of the mapping at a path, and the key as the file has it."""
        node = self.root
        for step in steps:
            _, node = _inner(node, step)
        for name, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(name, yaml.ScalarNode) and StrictLoader("").construct_object(name) == key:
                return _line(name.start_mark), name.value
        return None, str(key)

    def written(self, steps: Iterable[int | str]) -> str | None:
        """A value as the file has it, such as `no` for False; None if it is no scalar."""
        node = self.root
        for step in steps:
            _, node = _inner(node, step)
        return node.value if isinstance(node, yaml.ScalarNode) else None


def read(text: str, source: str) -> Document:
    """The one document of a text; `source` names it in errors.

    Raises:
        ConfigError: the text is no YAML, lies too deep, or has a key twice.
    """
    try:
        return compose(text)
    except yaml.YAMLError as exc:
        raise _unseen(text, source) or not_yaml(exc, source) from None


def _unseen(text: str, source: str) -> ConfigError | None:
    """The error of a character that editors do not show, if there is one that breaks YAML."""
    for found, remedy in (
        (yaml.reader.Reader.NON_PRINTABLE.search(text), "remove it"),
        (_NO_SPACE.search(text), "indent with plain spaces"),
    ):
        if found is not None:
            where = place(source, text.count("\n", 0, found.end()) + 1)
            code = f"U+{ord(found[found.lastindex or 0]):04X}"
            return ConfigError(
                f"{where}: this is not valid YAML: an invisible character ({code}); {remedy}."
            )
    return None


def compose(text: str) -> Document:
    """The same for callers with words of their own.

    Raises:
        yaml.YAMLError: the text is no YAML, lies too deep, or has a key twice.
    """
    loader = StrictLoader(text)
    try:
        root = loader.get_single_node()
        return Document(None if root is None else loader.construct_document(root), root)
    finally:
        loader.dispose()


def not_yaml(exc: yaml.YAMLError, source: str) -> ConfigError:
    """The parser's error with its place, and without a line of the file: that may be a secret."""
    line, began = (_line(getattr(exc, f"{name}_mark", None)) for name in ("problem", "context"))
    within = "" if began in (None, line) else f", in what begins in line {began}"
    return ConfigError(f"{place(source, line)}: this is not valid YAML: {_meaning(exc)}{within}.")


def _meaning(exc: yaml.YAMLError) -> str:
    """The parser's error for the author of the file."""
    said = getattr(exc, "problem", None) or getattr(exc, "reason", None) or "it cannot be read"
    return next((meaning for words, meaning in _MEANINGS if words in said), said)


def _line(mark: Any) -> int | None:
    return None if mark is None else mark.line + 1


def place(source: str, line: int | None) -> str:
    """A file and a line in it, as editors and terminals know them."""
    return source if line is None else f"{source}:{line}"


class StrictLoader(SafeLoader):
    """Refuses equal keys, of which PyYAML keeps the last in silence, and depths that crash it."""

    def __init__(self, text: str) -> None:
        _refuse_deep(text)
        super().__init__(text)

    def construct_document(self, node: yaml.Node) -> Any:
        """A document whose mappings have no key twice."""
        _refuse_twice(node, set())
        return super().construct_document(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node; PyYAML's own error for an impossible date names no place.

        1:30 is a text, as in YAML 1.2: PyYAML would read it as 90.
        """
        if isinstance(node, yaml.ScalarNode) and _is_base_60(node):
            return node.value
        try:
            return super().construct_object(node, deep)
        except ValueError as exc:
            raise _error(f"a date or a number that does not exist ({exc})", node) from None


def _inner(node: yaml.Node | None, step: int | str) -> tuple[Any, yaml.Node | None]:
    """The node below another one, and the node that has its place: its key, or itself."""
    if isinstance(node, yaml.MappingNode):
        # PyYAML has put merged keys before the mapping's own.
        for key, value in reversed(node.value):
            if key.value == str(step):
                return key, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None, None


def _is_base_60(node: yaml.ScalarNode) -> bool:
    is_number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    return is_number and _BASE_60.fullmatch(node.value) is not None


def _refuse_deep(text: str) -> None:
    """Count levels by events, which are read one by one; to compose nodes PyYAML calls itself."""
    depth = 0
    for event in yaml.parse(text, Loader=SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            message = f"lists and mappings lie more than {_DEEPEST} deep in each other; write fewer"
            raise _error(message, event)


def _refuse_twice(node: yaml.Node, seen: set[int]) -> None:
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        names = Counter(key.value for key in keys)
        for key in (key for key in keys[::-1] if names[key.value] > 1):
            remedy = "remove one, or begin a new entry of a list with a dash"
            raise _error(f"the key '{key.value}' stands here twice; {remedy}", key)
    for item in node.value:
        for inner in item if isinstance(item, tuple) else (item,):
            _refuse_twice(inner, seen)


def _error(message: str, place: Any) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(None, None, message, place.start_mark)
