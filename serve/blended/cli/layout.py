"""Rows for people: a table where it fits the width, else one block for each row; or JSON.

No cell is ever cut, in a narrow terminal or in a pipe.
"""

import json
import textwrap
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, no tables.")]

# Of a table with borders: those between and around cells, and the blanks beside them.
_BORDER, _PER_CELL = 1, 3


def show(
    console: Console,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    caption: str = "",
) -> None:
    """Print rows; the first cell of each names it."""
    if title:
        say(console, title, "bold")
    if _width(heads, rows) <= console.width:
        _table(console, heads, rows)
    else:
        _blocks(console, heads, rows)
    if caption:
        say(console, caption, "dim")


def say(console: Console, text: str, style: str = "") -> None:
    """Print a text in lines that fit the width."""
    console.print(Text(wrapped(text, console.width), style=style), soft_wrap=True)


def show_json(document: Any) -> None:
    """Print one JSON document on one line."""
    typer.echo(json.dumps(document))


def wrapped(text: str, width: int) -> str:
    """Lines of at most `width`, broken at blanks; what is broken goes on further to the right."""
    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 4),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.splitlines()
    )


def _width(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    columns = zip(heads, *rows, strict=True)
    widest = (max(cell_len(line) for cell in c for line in cell.split("\n")) for c in columns)
    return _BORDER + sum(width + _PER_CELL for width in widest)


def _table(console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*heads)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _blocks(console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    _, *names = heads
    width = max(map(len, names), default=0)
    for first, *cells in rows:
        console.print(Text(first, style="bold"), soft_wrap=True)
        for name, cell in zip(names, cells, strict=True):
            if cell:
                below = cell.replace("\n", "\n" + " " * (width + 4))
                line = f"  {name.ljust(width)}  {below}"
                console.print(Text(wrapped(line, console.width)), soft_wrap=True)
