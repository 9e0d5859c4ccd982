"""Simulated users with a planted preference, who have answers drawn again by it.

    world = World(by_words=1.6)
    records = world.records(retries=20_000, seed=1)

An answer is a list of words without meaning. Its quality is what its words are worth, what its
component is worth, and what its length is worth, each times a number of the world. A user has an
answer drawn again with the probability 1 / (1 + exp(quality + habit)); the one that replaces it is
drawn independently, and may be drawn again as well. Of two answers to one history the kept one is
then the better by 1 / (1 + exp(-difference)), which is Bradley's and Terry's model.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from blended.journal.records import ResponseRecord
from blended.reward.simulated_chats import Chat, user_id

COMPONENTS = ("one", "two", "three")
START = 1_790_000_000.0
_DAYS, _DAY_S, _PAUSE_S = 28, 86_400.0, 30.0
# All components use the common words, and each has some of its own.
_COMMON, _OWN, _OWN_SHARE = 300, 20, 0.3
_SHORTEST, _LONGEST = 6, 30
# Most answers are kept: an average user has one in four drawn again.
_KEPT, _HABIT = 1.2, 0.7
# Words of an average answer, and the standard deviation.
_WORDS, _SPREAD = 17.5, 7.2
_MESSAGES, _TURNS = 40, 6


@dataclass(frozen=True)
class World:
    """How much words, component and length decide of an answer's quality, in log-odds."""

    by_words: float = 0.0
    by_component: float = 0.0
    by_length: float = 0.0

    def quality(self, text: str, component: str) -> float:
        """The log-odds, up to a constant, that a user keeps it."""
        words = text.split()
        worth = sum(map(_worth, words)) / math.sqrt(len(words))
        return (
            self.by_words * worth
            + self.by_component * (COMPONENTS.index(component) - 1)
            + self.by_length * (len(words) - _WORDS) / _SPREAD
        )

    def records(self, retries: int, seed: int) -> Iterator[ResponseRecord]:
        """All responses of users who come until there were so many pairs of answers."""
        rng, pairs, number = np.random.default_rng(seed), 0, 0
        while pairs < retries:
            start = START + (number * _PAUSE_S * 10) % (_DAYS * _DAY_S)
            made, kept = self._talk(Chat(user_id(seed, number), 0, COMPONENTS), start, rng)
            pairs, number = pairs + kept, number + 1
            yield from made

    def _talk(
        self, chat: Chat, start: float, rng: np.random.Generator
    ) -> tuple[list[ResponseRecord], int]:
        """The responses of one conversation, and how many of them make a pair."""
        habit, at, pairs = float(rng.normal(0, _HABIT)), start, 0
        messages, made = list[Mapping[str, str]](), list[ResponseRecord]()
        for _ in range(int(rng.integers(1, _TURNS + 1))):
            message = f"message {rng.integers(_MESSAGES)}"
            messages.append({"role": "user", "content": message})
            is_kept, attempt = False, 0
            while not is_kept:
                component = COMPONENTS[rng.integers(len(COMPONENTS))]
                text = _answer(component, rng)
                made.append(chat.record(at, messages, component, text))
                log_odds = self.quality(text, component) + habit + _KEPT
                is_kept = bool(rng.random() < 1 / (1 + np.exp(-log_odds)))
                at, attempt = at + _PAUSE_S, attempt + 1
            pairs += attempt > 1
            messages.append({"role": "assistant", "content": text})
        return made, pairs


def _answer(component: str, rng: np.random.Generator) -> str:
    """Words, those of the component among them; frequent ones more often."""
    size = int(rng.integers(_SHORTEST, _LONGEST))
    common = np.minimum(rng.geometric(0.01, size), _COMMON)
    own = rng.integers(_OWN, size=size)
    is_own = rng.random(size) < _OWN_SHARE
    return " ".join(
        f"{component}{mine}" if owned else f"w{word}"
        for word, mine, owned in zip(common, own, is_own, strict=True)
    )


@cache
def _worth(word: str) -> float:
    """What a word is worth: normally distributed over the common ones, by a hash."""
    if not word.startswith("w"):
        return 0.0
    digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
    return float(np.random.default_rng(int.from_bytes(digest, "big")).normal())
