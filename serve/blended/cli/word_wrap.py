"""Breaks a text at blanks while it comes in pieces."""

from collections.abc import Callable

from rich.cells import cell_len


class WordWrap:
    """Passes words on to `write` as soon as they are whole, on lines of at most `width` cells.

    Without a width the pieces are passed on as they are. A word that is longer than a line is not
    broken.
    """

    def __init__(self, write: Callable[[str], object], width: int | None) -> None:
        self._write, self._width = write, width
        self._column, self._blanks, self._word = 0, "", ""

    def feed(self, text: str) -> None:
        """Take the next piece."""
        if self._width is None:
            self._write(text)
            return
        for character in text:
            if character == "\n":
                self.end()
                self._write("\n")
                self._column, self._blanks = 0, ""
            elif character.isspace():
                self.end()
                self._blanks += character
            else:
                self._word += character

    def end(self) -> None:
        """Pass on the last word."""
        if not self._word or self._width is None:
            return
        size = cell_len(self._blanks + self._word)
        if self._column and self._column + size > self._width:
            self._write("\n" + self._word)
            self._column = cell_len(self._word)
        else:
            self._write(self._blanks + self._word)
            self._column += size
        self._blanks = self._word = ""
