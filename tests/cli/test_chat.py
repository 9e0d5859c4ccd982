"""The conversation that the demo plays."""

import io
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from rich.console import Console

from blended.cli.chat import converse
from blended.demo import CONVERSATION, GOING_ON, MODEL_IDS
from blended.launch.client import Client, Message, Reply
from blended.router.selection import draw, normalise

EVEN = normalise(dict.fromkeys(MODEL_IDS, 1.0))


class Drawing(Client):
    """A blend of the demo's components that draws them as the router does, without engines."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.drawn = list[str]()

    def models(self) -> list[dict[str, Any]]:
        """The blend and its components."""
        return [{"id": name} for name in ("demo", *MODEL_IDS)]

    def stream(
        self,
        model: str,
        messages: list[Message],
        on_text: Callable[[str], None],
        conversation: str | None = None,
        **parameters: Any,
    ) -> Reply:
        """A response of whom the next number draws."""
        self.drawn.append(draw(EVEN, self._random.random()).component)
        return Reply(self.drawn[-1], "Well.", 2, 1.0)


def played(seed: int) -> tuple[list[str], str]:
    """Who answered in one run of the demo, and what was printed."""
    client, printed = Drawing(seed), io.StringIO()
    console = Console(file=printed, width=200)
    replies = converse(client, console, "demo", CONVERSATION, GOING_ON, MODEL_IDS)
    assert [reply.component for reply in replies] == client.drawn
    return client.drawn, printed.getvalue()


def test_every_component_has_answered_or_is_named() -> None:
    """Over 200 runs nobody is missing in silence, and none takes more than twelve turns."""
    runs = [played(seed) for seed in range(200)]

    for drawn, printed in runs:
        silent = set(MODEL_IDS) - set(drawn)
        assert ("No turn fell to" in printed) == bool(silent)
        assert all(name in printed.rpartition("No turn fell to")[2] for name in silent)
        assert len(CONVERSATION) <= len(drawn) <= 12
    assert any("No turn fell to" in printed for _, printed in runs)
    assert any(len(drawn) > len(CONVERSATION) for drawn, _ in runs)


def test_it_ends_as_soon_as_everybody_has_answered() -> None:
    """Beyond the six turns, only the last one brings the component that was missing."""
    for drawn, _ in map(played, range(200)):
        if len(CONVERSATION) < len(drawn) < 12:
            assert drawn[-1] not in drawn[:-1]


def test_whom_it_waits_for_changes_no_draw() -> None:
    """In the turns that are always played each component has its share, in whatever order."""
    first = [name for drawn, _ in map(played, range(200)) for name in drawn[: len(CONVERSATION)]]

    shares = [first.count(name) / len(first) for name in MODEL_IDS]
    assert all(abs(share - 1 / 3) < 0.05 for share in shares)
    assert any(before == after for before, after in pairwise(first))
