"""Rows on terminals of any width, and in pipes: nothing of them is cut."""

import io
import json

import pytest
from rich.console import Console

from blended.cli import layout

HEADS = ("component", "model", "share")
ROWS = [
    ["pygmalion", "PygmalionAI/pygmalion-6b", "33.3%"],
    ["chai", "a description of many words that goes on for longer than a narrow terminal", ""],
]


def printed(width: int, rows: list[list[str]], terminal: bool = False) -> str:
    """Rows as they come out at a width."""
    file = io.StringIO()
    layout.show(Console(file=file, width=width, force_terminal=terminal), HEADS, rows, "Title", "")
    return file.getvalue()


@pytest.mark.parametrize("width", [200, 100, 80, 40, 24])
@pytest.mark.parametrize("terminal", [True, False])
def test_no_word_is_cut(width: int, terminal: bool) -> None:
    """A table where it fits, else a block for each row."""
    text = printed(width, ROWS, terminal)

    assert "…" not in text
    for row in ROWS:
        for cell in row:
            assert all(word in text for word in cell.split())
    assert ("┃" in text) == (width >= 100)


def test_long_texts_are_broken_at_blanks() -> None:
    """Within the width, unless a word is longer."""
    lines = printed(40, ROWS).splitlines()

    assert all(len(line) <= 40 for line in lines)


def test_a_cell_that_is_empty_takes_no_line_in_a_block() -> None:
    """Only what there is to say."""
    chai = printed(40, ROWS).partition("chai")[2]

    assert "share" not in chai


def test_markup_in_a_cell_is_text() -> None:
    """A description may have brackets."""
    assert "[bold]x" in printed(80, [["a", "[bold]x", ""]])


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """For programs."""
    layout.show_json({"a": [1, "ü"]})

    assert json.loads(capsys.readouterr().out) == {"a": [1, "ü"]}
