"""What a policy may know of a request before its draw, as numbers: for the router and for the fit.

Both use this module alone, on the same facts: the router puts what it knew into the record, and the
fit reads it there. A change of anything here needs another VERSION, which policies carry.
"""

import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from blended.experiments.moments import Array

Ints = npt.NDArray[np.int64]

VERSION = 1
# Rows of the table in which words and pairs of words are counted by their hashes.
ROWS = 4096
# Of a long message its beginning is read, so that the time that it takes is bounded.
MOST_WORDS, _MOST_CHARACTERS = 256, 4096
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Facts:
    """What is known of a request without its text; None for what is not.

    `turn` counts the user's messages, `words` those of the last one. `before` is the component
    whose response the user answers, `pause_s` the seconds since that response's end, `retried`
    whether this message was answered before.
    """

    turn: int
    words: int | None = None
    before: str | None = None
    pause_s: float | None = None
    retried: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON's types, with the version of the features."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self | None:
        """What `to_json` has written; None for facts of another version."""
        if values.get("version") != VERSION:
            return None
        return cls(**{name: value for name, value in values.items() if name != "version"})


def last_message(messages: Iterable[Mapping[str, Any]]) -> str:
    """The beginning of the text of the user's last message."""
    spoken = [message for message in messages if message.get("role") == "user"]
    content = spoken[-1].get("content") if spoken else None
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))[:_MOST_CHARACTERS]


def words(text: str) -> list[str]:
    """The words of a message, the first MOST_WORDS of them, in small letters."""
    return _WORD.findall(text[:_MOST_CHARACTERS].lower())[:MOST_WORDS]


def rows(spoken: Sequence[str]) -> Ints:
    """The rows of words and of pairs of neighbours, in any order, each as often as it comes."""
    encoded = [word.encode("utf-8", "surrogatepass") for word in spoken]
    hashed = [zlib.crc32(word) for word in encoded]
    # The hash of "one other" goes on from that of "one".
    pairs = [
        zlib.crc32(other, zlib.crc32(b" ", one))
        for one, other in zip(hashed, encoded[1:], strict=False)
    ]
    return np.array(hashed + pairs, dtype=np.int64) % ROWS


def scale(terms: int) -> float:
    """By what the sum over the rows of a message is divided."""
    return math.sqrt(terms) if terms else 1.0


def width(components: Sequence[str]) -> int:
    """The length of `vector`."""
    return len(components) + 6


def vector(facts: Facts, components: Sequence[str]) -> list[float]:
    """The facts as numbers about as large as 1; what is not known is 0."""
    pause_s = facts.pause_s
    return [
        1.0,
        *(float(facts.before == name) for name in components),
        math.log1p(facts.turn) / 2,
        math.log1p(facts.words or 0) / 4,
        float(pause_s is not None),
        math.log1p(max(pause_s or 0.0, 0.0)) / 6,
        float(bool(facts.retried)),
    ]


def before_message(known: Array, components: Sequence[str]) -> Array:
    """Vectors (m, D) without what only the message tells, or the time at which it comes."""
    blind = known.copy()
    blind[:, len(components) + 2 :] = 0
    return blind


def of_words(table: Array, spoken: Sequence[str]) -> Array:
    """What the words of a message add to each head: of a table (ROWS, N), shape (N,)."""
    found = rows(spoken)
    added: Array = np.add.reduce(table[found], axis=0) / scale(len(found))
    return added
