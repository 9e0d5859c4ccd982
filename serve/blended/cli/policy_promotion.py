"""Writes a policy's name and version into a blend's text, which keeps everything else."""

from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from blended.config import BlendConfig, loading
from blended.errors import ConfigError
from blended.learning.policy import Policy


def promoted(text: str, policy: Policy, place: str | None, source: str) -> str:
    """The text with the policy in `selection`, or in the arm `EXPERIMENT/ARM` that `place` names.

    Raises:
        ConfigError: the text is no blend, or would be none with the policy; there is no such arm.
    """
    _check(loading.parse(text, source), policy)
    writer = YAML()
    writer.preserve_quotes, writer.width = True, 10**6
    writer.indent(*_indents(text))
    root = writer.load(text)
    if _dumped(writer, root) != text:
        raise ConfigError(
            f"'{source}' is written in a way that only a person can edit; write "
            f"`policy: {policy.reference}` there by hand."
        )
    if place is None:
        selection = root.setdefault("selection", CommentedMap())
        if selection is None:
            selection = root["selection"] = CommentedMap()
        given = selection.get("policy")
        into = given if isinstance(given, CommentedMap) else CommentedMap()
        into["name"] = policy.name
        into["version"] = DoubleQuotedScalarString(policy.version)
        into["floor"] = policy.floor
        selection["policy"] = into
    else:
        _arm(root, place)["policy"] = policy.reference
    edited = _dumped(writer, root)
    loading.parse(edited, source)
    return edited


def _dumped(writer: YAML, root: Any) -> str:
    text = StringIO()
    writer.dump(root, text)
    return text.getvalue()


def _check(blend: BlendConfig, policy: Policy) -> None:
    drawn = {name for name, weight in blend.weights.items() if weight > 0}
    if unknown := drawn - set(policy.components):
        raise ConfigError(
            f"The policy '{policy.reference}' does not know '{min(unknown)}', which has a weight; "
            "fit a policy to draws of all components."
        )


def _arm(root: Any, place: str) -> Any:
    name, _, arm = place.partition("/")
    for experiment in root.get("experiments") or ():
        for found in experiment["arms"] if experiment["name"] == name else ():
            if found["id"] == arm:
                return found
    raise ConfigError(f"There is no arm '{place}'; write EXPERIMENT/ARM as the file names them.")


def _indents(text: str) -> tuple[int, int, int]:
    """The columns of mappings and lists as the file has them: its first list decides."""
    lines = [line for line in text.splitlines() if line.lstrip().startswith("- ")]
    offset = len(lines[0]) - len(lines[0].lstrip()) if lines else 2
    return 2, offset + 2, offset
