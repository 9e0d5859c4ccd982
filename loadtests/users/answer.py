"""One response as it comes to Locust's client, to its end or until the user leaves."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from locust.contrib.fasthttp import FAILURE_EXCEPTIONS

from loadtests.users.tally import LedgerEntry, Outcome


class ResponseFailed(Exception):
    """A response that did not end properly."""


@dataclass
class Answer:
    """A response as it comes; `pieces` are its texts and their times of arrival.

    `before` is the component that gave the response before it, empty if that is unknown.
    """

    model: str
    turn: int
    streamed: bool
    before: str = ""
    outcome: Outcome = "unfinished"
    component: str = ""
    pieces: list[tuple[float, str]] = field(default_factory=list)
    began_s: float = field(default_factory=time.perf_counter)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(text for _, text in self.pieces)

    def read(self, response: Any, leave_after: int | None) -> None:
        """Read it to its end, or up to a number of tokens, and report it to Locust's statistics."""
        try:
            self._read(response, leave_after)
        except (ResponseFailed, ValueError, *FAILURE_EXCEPTIONS) as exc:
            self.outcome = "failed"
            response.failure(str(exc))
            return
        if self.outcome == "abandoned":
            response.request_meta["name"] = "abandoned"
        # Locust measures up to the headers.
        response.request_meta["response_time"] = 1e3 * (time.perf_counter() - self.began_s)
        response.success()

    def response(self, blend: str) -> LedgerEntry:
        """The ended response as an entry for the ledger."""
        return LedgerEntry(
            outcome=self.outcome,
            model=self.model,
            of_blend=self.model == blend,
            turn=self.turn,
            began_s=self.began_s,
            ended_s=time.perf_counter(),
            tokens_s=tuple(at for at, _ in self.pieces) if self.streamed else (),
            component=self.component,
            before=self.before,
        )

    def _read(self, response: Any, leave_after: int | None) -> None:
        if not response.status_code:
            response.raise_for_status()
        if response.status_code != 200:
            raise ResponseFailed(f"{response.status_code}: {response.text[:200]}")
        self.component = response.headers.get("x-blended-component", "")
        for piece in _pieces(response) if self.streamed else _whole(response):
            self.pieces.append(piece)
            if len(self.pieces) == leave_after:
                # Before its end, this closes the connection.
                response.stream.release()
                self.outcome = "abandoned"
                return
        self.outcome = "finished"


def _whole(response: Any) -> Iterator[tuple[float, str]]:
    """The text of a response that is not streamed."""
    yield time.perf_counter(), response.json()["choices"][0]["message"]["content"]


def _pieces(response: Any) -> Iterator[tuple[float, str]]:
    """The pieces of a streamed response and their times of arrival, by `time.perf_counter`.

    Raises:
        ResponseFailed: it broke off, or it ended without [DONE].
    """
    # Read by lines, as the router writes its events: a pod of Locust's has no `blended.sse`.
    for line in iter(partial(response.stream.readline, b"\n"), b""):
        if not line.startswith(b"data: "):
            continue
        data = line.removeprefix(b"data: ").strip()
        if data == b"[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise ResponseFailed(event["error"]["message"])
        for choice in event.get("choices", ()):
            if text := choice["delta"].get("content"):
                yield time.perf_counter(), text
    raise ResponseFailed("The stream ended without [DONE].")
