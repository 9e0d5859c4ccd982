"""Simulated conversations in which components have known effects on what comes next: pure NumPy.

world = World(regenerates=(0.1, 0.1, 0.05), goes_on=(0.7, 0.75, 0.8))
chats = world.talk(1000, rng)            # every response of 1,000 users
chats.truth("turns_ahead")               # the mean after each component

A user has habits of their own, so that the responses of one user are alike: both probabilities are
moved by them on the logit scale. What a component does is known for every response, whether it was
drawn or not: the truth is the mean of these expectations over the responses.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from blended.learning.decisions import Decisions
from blended.learning.drawing import Drawing
from blended.learning.rewards import SUMS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# A conversation ends after so many turns at the latest.
LONGEST = 12
# How often the next message comes within 180 s; how often there is a thumb, and how often it is up
# if a response is kept.
_QUICK, _THUMBS, _UP = 0.8, 0.1, 0.7
_TTFT_SIGMA, _ENGINE_S = 0.5, 2.0
_BY_RESPONSE = ("day", "conversation", "turn", "drawn", "second", "regenerated", "goes_on")


@dataclass(frozen=True)
class World:
    """What N components do to users, each a tuple of N.

    `regenerates` is how likely an average user has a response drawn again, once at most for a
    message; `goes_on` is how likely one writes another message after a response that is kept;
    `ttft_s` is the mean time to the first byte. `mix` are the probabilities of the draw. `habit` is
    the standard deviation of users' habits, `visits` the mean number of their conversations.
    """

    regenerates: tuple[float, ...] = (0.08, 0.08, 0.08)
    goes_on: tuple[float, ...] = (0.7, 0.7, 0.7)
    ttft_s: tuple[float, ...] = (0.2, 0.2, 0.2)
    mix: tuple[float, ...] = (1 / 3, 1 / 3, 1 / 3)
    habit: float = 1.0
    visits: float = 3.0

    @property
    def names(self) -> tuple[str, ...]:
        """The components: a, b, c and so on."""
        return tuple("abcdefgh"[: len(self.mix)])

    def talk(self, users: int, rng: np.random.Generator, days: int = 1) -> "Chats":
        """All responses of so many users, whose conversations are spread evenly over the days."""
        habits = rng.normal(0, self.habit, (2, users, 1))
        again, stays = _moved(self.regenerates, habits[0]), _moved(self.goes_on, habits[1])
        user = np.repeat(np.arange(users), 1 + rng.poisson(self.visits - 1, users))
        day = rng.integers(0, days, len(user))
        rows = list[tuple[Ints, ...]]()
        active = np.arange(len(user))
        for turn in range(1, LONGEST + 1):
            first = rng.choice(len(self.mix), len(active), p=self.mix)
            redo = rng.random(len(active)) < again[user[active], first]
            second = rng.choice(len(self.mix), len(active), p=self.mix)
            kept = np.where(redo, second, first)
            goes = (turn < LONGEST) & (rng.random(len(active)) < stays[user[active], kept])
            rows.append(_rows(active, turn, first, False, redo, goes & ~redo))
            never = np.zeros(redo.sum(), dtype=np.bool_)
            rows.append(_rows(active[redo], turn, second[redo], True, never, goes[redo]))
            active = active[goes]
        chat, turns, drawn, second, regenerated, goes_on = map(
            np.concatenate, zip(*rows, strict=True)
        )
        return Chats(
            self,
            users,
            again,
            stays,
            user[chat],
            day[chat],
            chat,
            turns,
            drawn,
            second,
            regenerated,
            goes_on,
            rng,
        )


def _moved(base: tuple[float, ...], habit: Floats) -> Floats:
    """Probabilities by user and component, shape (users, N)."""
    at = np.array(base)
    moved: Floats = 1 / (1 + (1 - at) / at * np.exp(-habit))
    return moved


def _rows(
    active: Ints, turn: int, drawn: Ints, is_second: bool, redo: Bools, goes: Bools
) -> tuple[Ints, ...]:
    flags = np.full(len(active), turn), drawn, np.full(len(active), is_second), redo, goes
    return (active, *(flag.astype(np.int64) for flag in flags))


@dataclass(frozen=True)
class Chats:
    """The m responses of n users: arrays (m,), and the probabilities of each user (n, N).

    `second` marks a response that replaces a regenerated one, `goes_on` one that the user went on
    from.
    """

    world: World
    users: int
    again: Floats
    stays: Floats
    user: Ints
    day: Ints
    conversation: Ints
    turn: Ints
    drawn: Ints
    second: Ints
    regenerated: Ints
    goes_on: Ints
    rng: np.random.Generator

    def rewards(self) -> dict[str, Floats]:
        """What the journal adds up, by response (m,)."""
        m, rng = len(self.user), self.rng
        last = np.zeros(self.conversation.max() + 1, dtype=np.int64)
        np.maximum.at(last, self.conversation, self.turn)
        ahead = last[self.conversation] - self.turn
        thumb = np.where(rng.random(m) < _UP, 1, -1) * (1 - 2 * self.regenerated)
        noise = rng.lognormal(-(_TTFT_SIGMA**2) / 2, _TTFT_SIGMA, m)
        found = {
            "responses": np.ones(m),
            "regenerated": self.regenerated,
            "kept": 1 - self.regenerated,
            "continued": self.goes_on * (rng.random(m) < _QUICK),
            "two_more": ahead >= 2,
            "turns_ahead": ahead,
            "thumbs": thumb * (rng.random(m) < _THUMBS),
            "waited_s": np.array(self.world.ttft_s)[self.drawn] * noise,
            "engine_s": _ENGINE_S * noise,
        }
        return {name: np.asarray(found[name], dtype=float) for name in SUMS}

    def decisions(self) -> Decisions:
        """As the journal would give them."""
        rewards = np.column_stack(list(self.rewards().values()))
        n = len(self.world.mix)
        key = self.user * n + self.drawn
        columns = [np.bincount(key, c, self.users * n).astype(float) for c in rewards.T]
        sums = np.column_stack(columns)
        there = np.flatnonzero(sums[:, 0])
        return Decisions(self.users, there // n, self.drawings(), there % n, sums[there], {})

    def until(self, day: int) -> "Chats":
        """The responses before a day. A conversation lies within one day."""
        rows, who = self.day < day, np.unique(self.user[self.day < day], return_inverse=True)
        return replace(
            self,
            users=len(who[0]),
            again=self.again[who[0]],
            stays=self.stays[who[0]],
            user=who[1],
            **{name: getattr(self, name)[rows] for name in _BY_RESPONSE},
        )

    def drawings(self) -> tuple[Drawing, ...]:
        """A kind of draw for each component."""
        names = self.world.names
        mix = dict(zip(names, self.world.mix, strict=True))
        return tuple(
            Drawing("chats", "blend", mix, name, name, (name,), frozenset(names)) for name in names
        )

    def truth(self, reward: str) -> Floats:
        """The mean reward of a response after each component, shape (N,)."""
        mean: Floats = self._expected(reward).mean(axis=0)
        return mean

    def _expected(self, reward: str) -> Floats:
        """By response and component, shape (m, N), or (1, N) where responses are alike."""
        world, mix = self.world, np.array(self.world.mix)
        again = self.again[self.user] * (1 - self.second)[:, None]
        stays = self.stays[self.user]
        may = (self.turn < LONGEST)[:, None]
        goes = ((1 - again) * stays + again * (stays @ mix)[:, None]) * may
        onward, left = self._onward()[self.user], LONGEST - self.turn
        turns = (1 - onward**left) / (1 - onward)  # after the next one, which is one of them
        found: dict[str, Floats] = {
            "regenerated": again,
            "kept": 1 - again,
            "continued": _QUICK * (1 - again) * stays * may,
            "two_more": goes * (onward * (left >= 2))[:, None],
            "turns_ahead": goes * turns[:, None],
            "thumbs": _THUMBS * (2 * _UP - 1) * (1 - 2 * again),
            "waited_s": np.array([world.ttft_s]),
            "engine_s": np.full((1, len(mix)), _ENGINE_S),
        }
        return found[reward]

    def _onward(self) -> Floats:
        """By user: the probability of another turn after a message, (n,)."""
        mix = np.array(self.world.mix)
        anyone = self.stays @ mix
        onward: Floats = self.again @ mix * anyone - (self.again * self.stays) @ mix + anyone
        return onward
