"""The way of a request, as a picture: python -m cluster.pictures.request_path

Writes docs/request-path.svg; with `--check` it only says whether the picture is up to date. The
numbers are those of "The life of a request" in docs/architecture.md.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from blended import generated_page
from cluster.pictures.drawing import GREY, Box, Drawing, wrapped

PICTURE = Path("docs/request-path.svg")
_DRAWN, _PROXY, _ROUTER, _STORE = "#dcebf7", "#f3f4f6", "#fdf3e1", "#e6f4ee"
_BLUE = "#0072b2"

_CLIENT = Box(20, 184, 118, 82)
_OUTER = Box(186, 184, 112, 82, _PROXY)
_INSIDE = Box(344, 40, 262, 322, _ROUTER)
_INNER = Box(656, 184, 132, 82, _PROXY)
_COMPONENTS = [Box(850, y, 156, 66) for y in (40, 130, 220)]
_REMOTE = Box(850, 312, 156, 66, dashed=True)
_JOURNAL = Box(344, 396, 262, 70, _STORE)
_STEPS = (
    (1, "The key, its limits, the body."),
    (2, "User, conversation and turn."),
    (3, "The user's arm gives the weights; a keyed hash draws one component."),
    (4, "The whole history in a form that its template takes; sampling in its bounds."),
    (6, "Waits for the first bytes. None: another replica once, then another component."),
    (7, "Passes bytes on, with names replaced."),
    (8, "Client gone: closes the connection."),
)


def picture() -> str:
    """The SVG."""
    drawing = Drawing(1026, 486, "The way of a request from a client to the drawn component")
    drawing.box(_CLIENT, "Client", ["of OpenAI or", "Anthropic"])
    drawing.box(_OUTER, "HAProxy", ["on every node,", "port 8000"])
    drawing.box(_INSIDE, "Router replica")
    _steps(drawing)
    drawing.box(_INNER, "HAProxy", ["of this node,", "/components/<id>"])
    for box, name in zip(_COMPONENTS, ("Component a", "Component b", "Component c"), strict=True):
        drawn = name == "Component b"
        filled = Box(box.x, box.y, box.width, box.height, _DRAWN, _BLUE) if drawn else box
        drawing.box(filled, name, ["drawn: vLLM replicas" if drawn else "vLLM replicas"])
    drawing.box(_REMOTE, "Remote", ["any compatible API"])
    drawing.box(
        _JOURNAL, "Journal", ["a record of every response, on disk", "first, then in the database"]
    )
    _arrows(drawing)
    return drawing.svg()


def _steps(drawing: Drawing) -> None:
    y = _INSIDE.y + 50
    for number, text in _STEPS:
        drawing.number((_INSIDE.x + 20, y - 4), number)
        for line in wrapped(text, _INSIDE.width - 28):
            drawing.text((_INSIDE.x + 38, y), line)
            y += 15
        y += 10


def _arrows(drawing: Drawing) -> None:
    drawing.arrow([_CLIENT.right, _OUTER.left])
    drawing.arrow([_OUTER.right, (_INSIDE.x, _OUTER.right[1])])
    drawing.arrow([(_INSIDE.x + _INSIDE.width, _INNER.left[1]), _INNER.left])
    # The way that is taken lies above the others.
    for box in (_COMPONENTS[0], _COMPONENTS[2], _COMPONENTS[1]):
        drawn = box is _COMPONENTS[1]
        middle = _INNER.right[0] + 30
        points = [_INNER.right, (middle, _INNER.right[1]), (middle, box.left[1]), box.left]
        drawing.arrow(points, _BLUE if drawn else GREY, dashed=not drawn)
    edge = _INSIDE.x + _INSIDE.width
    drawing.arrow([(edge, _REMOTE.left[1]), _REMOTE.left], GREY, dashed=True)
    drawing.arrow([_INSIDE.bottom, _JOURNAL.top])
    drawing.number((_INNER.x + 10, _INNER.y - 38), 5)
    drawing.text((_INNER.x + 26, _INNER.y - 34), "The conversation's")
    drawing.text((_INNER.x + 26, _INNER.y - 19), "hash picks the")
    drawing.text((_INNER.x + 26, _INNER.y - 4), "replica.")
    drawing.text((_CLIENT.x, _CLIENT.y + 106), "The answer comes back the same way.", colour=GREY)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture, or compare it; 1 if it is not up to date."""
    return generated_page.run("cluster.pictures.request_path", PICTURE, picture(), arguments)


if __name__ == "__main__":
    sys.exit(main())
