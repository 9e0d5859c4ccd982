"""A text that comes in pieces, broken at blanks."""

import random
import textwrap

import pytest

from blended.cli.word_wrap import WordWrap

TEXT = "The router passes words on as they come, and none of them is cut in two by a line's end."


def wrapped(pieces: list[str], width: int | None) -> str:
    """What is written of pieces."""
    written = list[str]()
    words = WordWrap(written.append, width)
    for piece in pieces:
        words.feed(piece)
    words.end()
    return "".join(written)


@pytest.mark.parametrize("width", [20, 40, 79])
def test_lines_are_those_of_the_whole_text(width: int) -> None:
    """However it is cut into pieces, as Python's own textwrap has them."""
    rng = random.Random(width)
    for _ in range(50):
        cuts = sorted(rng.sample(range(1, len(TEXT)), 12))
        pieces = [TEXT[a:b] for a, b in zip([0, *cuts], [*cuts, len(TEXT)], strict=True)]

        assert wrapped(pieces, width) == textwrap.fill(TEXT, width)


def test_lines_of_the_text_stay() -> None:
    """With their indentation, and empty lines."""
    text = "one\n\n  - two\n  - three"

    assert wrapped(list(text), 40) == text


def test_without_a_width_nothing_changes() -> None:
    """Pieces are passed on at once."""
    written = list[str]()
    WordWrap(written.append, None).feed("half a wo")

    assert written == ["half a wo"]


def test_a_word_that_is_too_long_is_whole() -> None:
    """On a line of its own; wide characters count twice."""
    assert wrapped(["an ", "extraordinarily", " long"], 8) == "an\nextraordinarily\nlong"
    assert wrapped(["日本語 日本語"], 8) == "日本語\n日本語"
