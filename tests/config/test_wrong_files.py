"""A hundred files with one mistake each: the message has file and line, and says what to write."""

import json
from pathlib import Path

import pytest

from tests.config.checked import check
from tests.config.wrong_files import ENGINE, HEAD, WRONG, Wrong


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_has_one_message_with_its_line(
    wrong: Wrong, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stands on one line, and no second mistake follows from the first."""
    path = tmp_path / "blend.yaml"
    path.write_text(wrong.text)
    said = check(str(path), capsys=capsys)

    assert said.count(f"{path}:") == 1, said
    assert f"{path}:{wrong.line}: {wrong.said}" in said


def test_there_are_a_hundred_and_each_is_another() -> None:
    """The kinds that people met, and their neighbours."""
    assert len(WRONG) >= 100
    assert len({wrong.text for wrong in WRONG.values()}) == len(WRONG)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", ": this is empty; write at least the keys name, components ('blended init' writes"),
        (b"# nothing\n", ": this is empty; write at least"),
        ("name: x\n".encode("utf-16"), ": this is UTF-16, or no text; save it as UTF-8."),
        ("name: x\n".encode("utf-16-le"), ": this is UTF-16, or no text; save it as UTF-8."),
        (b"name: x\n# \xe9t\xe9\n", ":2: this is not UTF-8; save the file as UTF-8."),
    ],
)
def test_a_file_that_is_no_text_is_said(
    data: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence."""
    path = tmp_path / "blend.yaml"
    path.write_bytes(data)

    assert f"{path}{said}" in check(str(path), capsys=capsys)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("moder", "'moder' is neither a file nor a preset; did you mean the preset 'modern'?"),
        ("nowhere.yaml", "'nowhere.yaml' is neither a file nor a preset; the presets are demo, "),
        ("/", "'/' is a folder; give the YAML file in it."),
    ],
)
def test_a_source_that_is_not_there_is_said(
    source: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the preset that was meant."""
    assert said in check(source, capsys=capsys)


def test_a_model_on_this_machine_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without a model is refused; one with a model tells its heads, in a part as well."""
    folder, path = tmp_path / "model", tmp_path / "blend.yaml"
    folder.mkdir()
    path.write_text(f"{HEAD}{ENGINE.replace('org/m', str(folder))}, tensor_parallel_size: 8}}}}\n")
    empty = check(str(path), capsys=capsys)
    (folder / "config.json").write_text(json.dumps({"text_config": {"num_attention_heads": 12}}))
    odd = check(str(path), capsys=capsys)

    assert "holds no model (no config.json); give the folder of one" in empty
    assert f"the 12 attention heads of '{folder}' cannot be shared by 8 GPUs" in odd
