"""What a linear reward model sees of a response: its words, what it repeats, and its length.

Words and marks are hashed into the first half of DIMENSIONS places, pairs of neighbours into the
second. Each counts once, however often it is there.
"""

import re
import zlib
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from blended.reward.transcript import turns_of

DIMENSIONS = 2**14
# The share of the response's words that the user has said, and how much it is the response before.
RELATIONS = ("echoes", "repeats")

_TOKEN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"\w+")
# No word and no mark: a response's beginning and its end.
_BEGINNING, _END = "^ ", " $"

Places = NDArray[np.int64]


class Features(NamedTuple):
    """Of one response: the places of its words, its RELATIONS, and its length in words."""

    places: Places
    relations: tuple[float, ...]
    words: int


def features(text: str) -> Features:
    """The features of the response at the end of a transcript."""
    *before, response = turns_of(text)
    tokens = _TOKEN.findall(response.text.lower())
    pairs = (f"{one} {other}" for one, other in pairwise((_BEGINNING, *tokens, _END)))
    places = {*map(_place, tokens), *(DIMENSIONS // 2 + _place(pair) for pair in pairs)}
    words = set(_words(response.text))
    told = {word for turn in before if turn.speaker == "User" for word in _words(turn.text)}
    answers = [turn.text for turn in before if turn.speaker == "Assistant"]
    last = set(_words(answers[-1])) if answers else set[str]()
    relations = (
        len(words & told) / max(1, len(words)),
        len(words & last) / max(1, len(words | last)),
    )
    return Features(np.array(sorted(places), dtype=np.int64), relations, length(text))


def length(text: str) -> int:
    """The words of the response at the end of a transcript."""
    return len(_words(turns_of(text)[-1].text))


def _place(gram: str) -> int:
    return zlib.crc32(gram.encode("utf-8", "replace")) % (DIMENSIONS // 2)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
