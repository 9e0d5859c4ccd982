"""Writes a policy's name and version into a blend's text, which keeps everything else."""

from difflib import SequenceMatcher
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from blended import config
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
    before = _dumped(writer, root)
    if place is None:
        _of_blend(root, policy)
    else:
        _arm(root, place)["policy"] = policy.reference
    edited = _with_changes(text, before, _dumped(writer, root))
    if edited is None or not _has(loading.parse(edited, source), policy, place):
        raise ConfigError(
            f"'{source}' is written in a way that only a person can edit; write "
            f"`policy: {policy.reference}` there by hand."
        )
    return edited


def _of_blend(root: CommentedMap, policy: Policy) -> None:
    if root.get("selection") is None:
        root["selection"] = CommentedMap()
    given = root["selection"].get("policy")
    into = given if isinstance(given, CommentedMap) else CommentedMap()
    # Twelve digits would be a number.
    version = DoubleQuotedScalarString(policy.version)
    into |= {"name": policy.name, "version": version, "floor": policy.floor}
    root["selection"]["policy"] = into


def _arm(root: CommentedMap, place: str) -> Any:
    name, _, arm = place.partition("/")
    for experiment in root.get("experiments") or ():
        for found in experiment["arms"] if experiment["name"] == name else ():
            if found["id"] == arm:
                return found
    raise ConfigError(f"There is no arm '{place}'; write EXPERIMENT/ARM as the file names them.")


def _with_changes(text: str, before: str, after: str) -> str | None:
    """The text with the lines that differ between two versions of it; None if they do not fit."""
    own, old, new = (version.splitlines(keepends=True) for version in (text, before, after))
    if len(own) != len(old):
        return None
    edited = list[str]()
    for tag, first, last, begin, end in SequenceMatcher(None, old, new, False).get_opcodes():
        edited += own[first:last] if tag == "equal" else new[begin:end]
    return "".join(edited)


def _has(blend: BlendConfig, policy: Policy, place: str | None) -> bool:
    given: config.Policy | None = blend.selection.policy
    if place is not None:
        arms = {f"{e.name}/{arm.id}": arm for e in blend.experiments for arm in e.arms}
        given = arms[place].policy
    return given is not None and given.reference == policy.reference


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


def _indents(text: str) -> tuple[int, int, int]:
    """The columns of mappings and lists as the file has them: its first list decides."""
    lines = [line for line in text.splitlines() if line.lstrip().startswith("- ")]
    offset = len(lines[0]) - len(lines[0].lstrip()) if lines else 2
    return 2, offset + 2, offset
