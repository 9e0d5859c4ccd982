"""Values that are put into a blend's file, byte by byte."""

import os
from pathlib import Path

import pytest

from blended.cli.blend_editing import with_value
from blended.cli.edited_files import edit
from blended.config import loading
from blended.errors import ConfigError

HEAD = "name: friends  # of ours\ncomponents:\n- {id: a, kind: simulated}\n"
HEAD += "-   id: b\n    kind: simulated\n"
NEW = {"a": 0.3, "b": 0.7}
FLOW = HEAD + "selection: {weights: {a: 1, b: 1.5}, seed: x}  # moved at night\n# the end\n"
BLOCK = HEAD + 'selection:\n  # drawn so:\n  weights:\n    a: 1  # ours\n    "b": 2\n  seed: x\n'


def with_weights(text: str, weights: dict[str, float]) -> str:
    return with_value(text, ("selection", "weights"), weights, "blend.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FLOW, FLOW.replace("{a: 1, b: 1.5}", "{a: 0.3, b: 0.7}")),
        (BLOCK, BLOCK.replace("a: 1 ", "a: 0.3 ").replace('"b": 2', '"b": 0.7')),
        (BLOCK.replace("\n", "\r\n"), None),
        (HEAD, HEAD + "selection: {weights: {a: 0.3, b: 0.7}}\n"),
        (HEAD.rstrip("\n"), HEAD + "selection: {weights: {a: 0.3, b: 0.7}}\n"),
        (
            HEAD + "selection:\n  seed: x\n",
            HEAD + "selection:\n  seed: x\n  weights: {a: 0.3, b: 0.7}\n",
        ),
        (
            HEAD + "selection:\n  seed: x  # kept\napi: {}\n",
            HEAD + "selection:\n  seed: x  # kept\n  weights: {a: 0.3, b: 0.7}\napi: {}\n",
        ),
        (
            HEAD + "selection: {seed: x}\n",
            HEAD + "selection: {weights: {a: 0.3, b: 0.7}, seed: x}\n",
        ),
    ],
)
def test_nothing_but_the_weights_changes(text: str, expected: str | None) -> None:
    """Comments, quotes and line ends stay; missing weights are put in."""
    edited = with_weights(text, NEW)

    if expected is None:
        expected = with_weights(text.replace("\r\n", "\n"), NEW).replace("\n", "\r\n")
    assert edited == expected
    assert loading.parse(edited, "blend.yaml").weights == NEW


@pytest.mark.parametrize("weights", ["{}", "{weights: {a: &one 1, b: *one}}"])
def test_what_only_a_person_can_edit_is_refused(weights: str) -> None:
    """With the weights to write."""
    with pytest.raises(ConfigError, match=r"only a person can edit; write weights: \{a: 0.3, b: 0"):
        with_weights(f"{HEAD}selection: {weights}\n", NEW)


def test_weights_that_an_arm_shares_are_left_to_a_person() -> None:
    """An alias would move the holdback, too."""
    text = HEAD + (
        "selection: {weights: &even {a: 1, b: 1}}\n"
        "experiments:\n- {name: e, start: 2026-12-01, end: 2027-01-01, control: x, "
        "arms: [{id: x, weights: *even}, {id: y, adaptive: true}]}\n"
    )
    with pytest.raises(ConfigError, match=r"only a person can edit; write weights: \{a: 0.3, b: 0"):
        with_weights(text, NEW)


def test_ids_that_yaml_takes_for_something_else_are_quoted() -> None:
    """`on` would be true."""
    text = "name: x\ncomponents: [{id: 'on', kind: simulated}, {id: b, kind: simulated}]\n"

    edited = with_weights(text, {"on": 0.5, "b": 0.5})
    assert edited.endswith('weights: {"on": 0.5, b: 0.5}}\n')


def test_a_link_stays_a_link_and_access_stays(tmp_path: Path) -> None:
    """What it leads to is replaced in one step, and nothing is left beside it."""
    path, link = tmp_path / "blend.yaml", tmp_path / "current.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + FLOW.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    link.symlink_to(path)
    edit(link, lambda text: with_weights(text, NEW))

    assert link.is_symlink()
    edited = FLOW.replace("{a: 1, b: 1.5}", "{a: 0.3, b: 0.7}").replace("\n", "\r\n")
    assert path.read_bytes() == b"\xef\xbb\xbf" + edited.encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["blend.yaml", "current.yaml"]


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(ConfigError, match=r"none\.yaml' cannot be changed: No such file"):
        edit(tmp_path / "none.yaml", lambda text: text)
