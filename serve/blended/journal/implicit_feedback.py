"""Feedback that follows from a user's next request: pure functions over the responses' order.

A response is retried if its history is sent again, and continued if the next request builds upon
its text.
"""

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Literal, NamedTuple

from blended.journal.records import FeedbackRecord

# Users who come back later are not considered, which bounds the search.
HORIZON_S = 30 * 86_400.0
ANSWERED = ("finished", "cancelled")
FAILED = ("failed_before_first_byte", "failed_after_first_byte")


class AskedResponse(NamedTuple):
    """The fields of a response's record that decide its place among the others."""

    response_id: str
    started_at: float
    lineage: str | None
    parent: str | None
    state: str
    e2e_s: float


def derive(responses: Iterable[AskedResponse]) -> list[FeedbackRecord]:
    """The feedback `retry` and `continued` on these responses by the others, in any order.

    Both refer to the latest earlier response that was answered with the same history. A retry
    counts only if it was answered itself, because otherwise it replaced nothing. A message counts
    as a continuation whether it was answered or not. The first such response counts.
    """
    found = dict[tuple[str, str], FeedbackRecord]()
    latest = dict[str | None, AskedResponse]()
    ordered = sorted(set(responses), key=attrgetter("started_at", "response_id"))
    for _, simultaneous in groupby(ordered, key=attrgetter("started_at")):
        group = list(simultaneous)
        for response in group:
            _follow(latest.get(response.parent), response, "continued", found)
            if response.state in ANSWERED:
                _follow(latest.get(response.lineage), response, "retry", found)
        latest |= {r.lineage: r for r in group if r.lineage and r.state in ANSWERED}
    return list(found.values())


def _follow(
    before: AskedResponse | None,
    response: AskedResponse,
    kind: Literal["continued", "retry"],
    found: dict[tuple[str, str], FeedbackRecord],
) -> None:
    if before is None or response.started_at - before.started_at > HORIZON_S:
        return
    if (before.response_id, kind) not in found:
        found[before.response_id, kind] = FeedbackRecord(
            before.response_id,
            before.started_at,
            kind,
            at=response.started_at,
            value=_pause_s(before, response) if kind == "continued" else None,
            other_id=response.response_id,
        )


def _pause_s(before: AskedResponse, response: AskedResponse) -> float:
    return max(0.0, response.started_at - (before.started_at + before.e2e_s))
