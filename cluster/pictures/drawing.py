"""Boxes, arrows and texts as an SVG, whose text is the same each time."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

INK, GREY, PAPER = "#30343b", "#6b7280", "#ffffff"
_FONT = "DejaVu Sans, Verdana, Arial, sans-serif"
_TITLE, _TEXT = 13.0, 11.0
# The mean width of a character, in font sizes; Verdana is as wide as DejaVu Sans.
_CHARACTER = 0.57
_LEADING = 1.4
_PADDING = 10.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A place in a picture; `fill` and `stroke` are colours."""

    x: float
    y: float
    width: float
    height: float
    fill: str = PAPER
    stroke: str = GREY
    dashed: bool = False

    @property
    def left(self) -> Point:
        """The middle of the left side."""
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        """The middle of the right side."""
        return self.x + self.width, self.y + self.height / 2

    @property
    def top(self) -> Point:
        """The middle of the upper side."""
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> Point:
        """The middle of the lower side."""
        return self.x + self.width / 2, self.y + self.height


@dataclass
class Drawing:
    """A picture that grows; `title` is read aloud instead of it."""

    width: float
    height: float
    title: str
    _parts: list[str] = field(default_factory=list)

    def box(self, box: Box, title: str, lines: Sequence[str] = ()) -> None:
        """A box with a title, and lines of text that are wrapped at its width."""
        dashes = ' stroke-dasharray="5 4"' if box.dashed else ""
        self._parts.append(
            f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" '
            f'rx="7" fill="{box.fill}" stroke="{box.stroke}" stroke-width="1.5"{dashes}/>'
        )
        x, y = box.x + _PADDING, box.y + _PADDING + _TITLE
        if title:
            self.text((x, y), title, _TITLE, bold=True)
            y += _LEADING * _TEXT + 2
        for line in (part for text in lines for part in wrapped(text, box.width)):
            self.text((x, y), line)
            y += _LEADING * _TEXT

    def text(
        self,
        place: Point,
        text: str,
        size: float = _TEXT,
        bold: bool = False,
        colour: str = INK,
        anchor: str = "start",
    ) -> None:
        """One line of text, whose baseline begins at a place, or has its middle there."""
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(
            f'<text x="{place[0]:g}" y="{place[1]:g}" font-size="{size:g}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
        )

    def arrow(self, points: Sequence[Point], colour: str = INK, dashed: bool = False) -> None:
        """A line through points, with a head at its end."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6" '
            f'marker-end="url(#head)"{dashes}/>'
        )

    def number(self, place: Point, number: int) -> None:
        """A number in a circle, around a place."""
        x, y = place
        self._parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="9" fill="{INK}"/>')
        self.text((x, y + 4), str(number), bold=True, colour=PAPER, anchor="middle")

    def svg(self) -> str:
        """The whole picture."""
        head = (
            '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker>'
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} '
                f'{self.height:g}" width="{self.width:g}" height="{self.height:g}" '
                f'font-family="{_FONT}" role="img" aria-label="{escape(self.title)}">',
                f"<defs>{head}</defs>",
                # Dark pages would hide dark lines.
                f'<rect width="{self.width:g}" height="{self.height:g}" fill="{PAPER}"/>',
                *self._parts,
                "</svg>\n",
            ]
        )


def wrapped(text: str, width: float) -> list[str]:
    """The lines of a text in a box of a width."""
    return textwrap.wrap(text, int((width - 2 * _PADDING) / (_CHARACTER * _TEXT))) or [""]


def height(lines: Sequence[str], width: float) -> float:
    """The height of a box with a title and such lines."""
    count = sum(len(wrapped(line, width)) for line in lines)
    return 2 * _PADDING + _TITLE + 2 + count * _LEADING * _TEXT
