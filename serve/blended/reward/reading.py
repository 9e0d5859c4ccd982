"""From the journal to examples: those whose texts were kept with `journal: {content: …}`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Select

from blended.errors import NotEnoughData
from blended.journal.store import Store
from blended.learning.queries import DAY_S
from blended.reward import queries
from blended.reward.examples import Answer, Examples, Pair, Point
from blended.reward.transcript import transcript

# Of more retries, or more responses, a part is read.
MOST = 50_000
_ROWS_AT_ONCE = 500

Progress = Callable[[float], None]


def read(
    store: Store, since: float, now: float, progress: Progress = lambda done: None, most: int = MOST
) -> Examples:
    """The examples among responses that began since a time, and a day or more before now.

    `progress` is called with the done part of the work, from 0 to 1.

    Raises:
        NotEnoughData: there are no texts, or no pairs.
        JournalUnavailable: the database does not answer.
    """
    until = now - DAY_S
    texts, retries = (_number(store, q(since, until)) for q in (queries.texts, queries.retries))
    if not texts:
        raise NotEnoughData(
            "The journal has no texts of responses that are a day old. Routers keep them with "
            "'journal: {content: {retention_days: 30}}' in the blend's file; a reward model can be "
            "fitted once users have had some of these responses drawn again."
        )
    pairs = tuple(_pairs(store, queries.pairs(since, until, most / max(1, retries))))
    progress(0.5)
    if not pairs:
        raise NotEnoughData(
            f"The journal has the texts of {texts:,} responses, and {retries:,} were drawn again; "
            "but no user has kept a finished response instead of another one to the same history, "
            "so that there is nothing to learn from yet."
        )
    points = tuple(_points(store, queries.points(since, until, most / texts)))
    progress(1.0)
    return Examples(pairs, points, retries)


def _number(store: Store, query: Select[Any]) -> int:
    [(found,)] = [tuple(row) for rows in store.stream(query, 1) for row in rows]
    return int(found)


def _pairs(store: Store, query: Select[Any]) -> Iterator[Pair]:
    for rows in store.stream(query, _ROWS_AT_ONCE):
        for row in rows:
            rejected, kept = _answer(row.first, row.before), _answer(row.second, row.after)
            if rejected and kept and rejected.text != kept.text and _are_to_one_history(row):
                yield Pair(row.user, row.started_at, rejected, kept)


def _are_to_one_history(row: Any) -> bool:
    """A client may say of any response that it replaces another one."""
    one, other = (transcript(content["messages"], "") for content in (row.before, row.after))
    return one == other


def _points(store: Store, query: Select[Any]) -> Iterator[Point]:
    for rows in store.stream(query, _ROWS_AT_ONCE):
        for row in rows:
            if answer := _answer(row.component, row.content):
                who = row.user, row.started_at, answer
                if row.thumb:
                    yield Point(*who, "thumb", row.thumb > 0)
                else:
                    yield Point(*who, "two_more", bool(row.two_more))


def _answer(component: str | None, content: Mapping[str, Any]) -> Answer | None:
    """A chat's transcript; None for a completion, or without a text."""
    messages, texts = content.get("messages"), content.get("response")
    if component is None or not messages or not texts or not texts[0].strip():
        return None
    return Answer(transcript(messages, texts[0]), component)
