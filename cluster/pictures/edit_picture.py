"""An edit of a RayService as a picture: the blend's parts, with what becomes of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from blended.app import ROUTER_APP
from blended.launch.changes import Change
from cluster.manifests import Document, at, serve_config
from cluster.pictures.drawing import Box, Drawing, height
from cluster.rayservice_edit import Edit
from cluster.rules.cluster_hash import Kind

Mark = Literal["stays", "at once", "again", "restarts", "starts", "leaves"]

# Fill and line of each mark; Okabe and Ito's hues, and words beside them for grey paper.
_LOOKS: dict[Mark, tuple[str, str]] = {
    "stays": ("#ffffff", "#9ca3af"),
    "at once": ("#dcebf7", "#0072b2"),
    "again": ("#fbe3d3", "#d55e00"),
    "restarts": ("#fbe3d3", "#d55e00"),
    "starts": ("#dff2ea", "#009e73"),
    "leaves": ("#f3f4f6", "#6b7280"),
}
_WORDS: dict[Mark, str] = {
    "stays": "STAYS as it is",
    "at once": "CHANGES without a restart",
    "again": "STARTS AGAIN in the second cluster",
    "restarts": "RESTARTS",
    "starts": "STARTS",
    "leaves": "LEAVES",
}
_CLUSTER: dict[Kind, tuple[str, str]] = {
    "same": ("The pods stay as they are", "#9ca3af"),
    "in place": ("The running cluster takes the change of pods over", "#0072b2"),
    "second cluster": ("A SECOND CLUSTER starts, with all of its GPUs", "#d55e00"),
    "ignored": ("KubeRay IGNORES the change of pods", "#cc79a7"),
}
_OF_KIND: dict[str, Mark] = {
    "engine": "restarts",
    "router": "restarts",
    "added": "starts",
    "removed": "leaves",
}
_ORDER: tuple[Mark, ...] = ("stays", "at once", "again", "restarts", "starts", "leaves")
_WIDTH, _GAP, _COLUMNS, _MARGIN = 280.0, 20.0, 3, 24.0


@dataclass(frozen=True)
class Part:
    """The router or a component: what becomes of it, and the sentences that say why."""

    name: str
    mark: Mark
    notes: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The text in its box."""
        return (_WORDS[self.mark], *self.notes)


def parts(edit: Edit, changed: Sequence[Change]) -> list[Part]:
    """The router, then the components of both manifests; changes of the whole are the router's."""
    names = dict.fromkeys([*_components(edit.new), *_components(edit.old or {})])
    by_part: dict[str, list[Change]] = {name: [] for name in ("router", *names)}
    for change in changed:
        by_part.get(change.subject, by_part["router"]).append(change)
    return [
        Part(name, _mark(found, edit.kind), tuple(change.sentence for change in found))
        for name, found in by_part.items()
    ]


def picture(edit: Edit, changed: Sequence[Change], of_cluster: Sequence[str]) -> str:
    """The SVG; `of_cluster` are the sentences about pods and the RayService."""
    found = parts(edit, changed)
    rows = [found[:1], *_batched(found[1:])]
    heights = [max(height(part.lines, _widths(row)) for part in row) for row in rows]
    words, colour = _CLUSTER[edit.kind]
    width = 2 * _MARGIN + 2 * _GAP + _COLUMNS * _WIDTH + (_COLUMNS - 1) * _GAP
    head = 12 + height(of_cluster, width - 2 * _MARGIN)
    tall = head + sum(heights) + _GAP * len(rows)
    frame = Box(_MARGIN, 46, width - 2 * _MARGIN, tall, stroke=colour)
    name = at(edit.new, "metadata").get("name", "")
    drawing = Drawing(width, frame.y + frame.height + 24, f"What an edit of {name} does")
    drawing.text((_MARGIN, 30), f"RayService {name}: what the edit does", 16, bold=True)
    drawing.box(frame, words, of_cluster)
    y = frame.y + head
    for row, tall in zip(rows, heights, strict=True):
        for column, part in enumerate(row):
            fill, stroke = _LOOKS[part.mark]
            x = frame.x + _GAP + column * (_WIDTH + _GAP)
            box = Box(x, y, _widths(row), tall, fill, stroke, dashed=part.mark == "leaves")
            drawing.box(box, part.name, part.lines)
        y += tall + _GAP
    return drawing.svg()


def _widths(row: Sequence[Part]) -> float:
    """The router's box is as wide as all columns."""
    return _COLUMNS * _WIDTH + (_COLUMNS - 1) * _GAP if row[0].name == "router" else _WIDTH


def _batched(found: Sequence[Part]) -> Iterator[list[Part]]:
    left = iter(found)
    while row := list(islice(left, _COLUMNS)):
        yield row


def _mark(found: Sequence[Change], kind: Kind) -> Mark:
    least: Mark = "again" if kind == "second cluster" else "stays"
    marks = (_OF_KIND.get(change.kind, "at once") for change in found)
    return max((least, *marks), key=_ORDER.index)


def _components(rayservice: Document) -> list[str]:
    applications = {app["name"]: app for app in serve_config(rayservice)["applications"]}
    router = applications[ROUTER_APP]["deployments"][0]
    return [component["id"] for component in router["user_config"]["blend"]["components"]]
