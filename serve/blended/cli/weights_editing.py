"""Edits of the weights in a blend's file: every other byte of it stays, comments too."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from blended.cli.edited_files import edit
from blended.config import BlendConfig, loading
from blended.errors import ConfigError
from blended.router.selection import normalise

_BYTE_ORDER_MARK = "\ufeff"
_Edit = tuple[int, int, str]


def write(path: Path, before: str, weights: Mapping[str, float]) -> None:
    """Put weights into the file whose text was `before`; another program sees either text whole.

    Raises:
        ConfigError: the file has changed meanwhile, cannot be written, or is written in a way that
            only a person can edit.
    """

    def changed(text: str) -> str:
        body = text.removeprefix(_BYTE_ORDER_MARK)
        if body != before:
            raise ConfigError(f"'{path}' has changed meanwhile; run the command again.")
        return text.removesuffix(body) + with_weights(body, weights, str(path))

    edit(path, changed)


def with_weights(text: str, weights: Mapping[str, float], source: str) -> str:
    """The text of a blend's file with these weights of its selection; `source` names it in errors.

    Raises:
        ConfigError: the file is written in a way that only a person can edit.
    """
    edited = text
    for start, end, new in sorted(_edits(text, weights), reverse=True):
        edited = edited[:start] + new + edited[end:]
    if not _is_meant(loading.parse(text, source), edited, weights, source):
        shown = ", ".join(f"{name}: {weight:g}" for name, weight in weights.items())
        raise ConfigError(
            f"'{source}' is written in a way that only a person can edit; write "
            f"weights: {{{shown}}} into its selection."
        )
    return edited


def _is_meant(before: BlendConfig, edited: str, weights: Mapping[str, float], source: str) -> bool:
    """Whether the weights are the only thing that has changed."""
    try:
        after = loading.parse(edited, source)
    except ConfigError:
        return False
    selection = before.selection.model_copy(update={"weights": after.selection.weights})
    return after == before.model_copy(update={"selection": selection}) and normalise(
        after.weights
    ) == normalise(weights)


def _edits(text: str, weights: Mapping[str, float]) -> list[_Edit]:
    """What to put in place of which characters."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    shown = "{" + ", ".join(f"{_key(name)}: {weight:g}" for name, weight in weights.items()) + "}"
    selection = _value(root, "selection")
    if selection is None:
        line = "" if text.endswith("\n") else "\n"
        return [(len(text), len(text), f"{line}selection:\n  weights: {shown}\n")]
    given = _value(selection, "weights")
    if isinstance(given, yaml.MappingNode):
        return [
            (value.start_mark.index, value.end_mark.index, f"{weights.get(key.value, 0):g}")
            for key, value in given.value
        ]
    if isinstance(selection, yaml.MappingNode) and selection.value:
        first = selection.value[0][0].start_mark
        behind = ", " if selection.flow_style else "\n" + " " * first.column
        return [(first.index, first.index, f"weights: {shown}{behind}")]
    return []


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)


def _key(name: str) -> str:
    """An id, in quotes if some reader of YAML would not take it for a text: `on`, `0777`."""
    return name if yaml.safe_load(name) == name else f'"{name}"'
