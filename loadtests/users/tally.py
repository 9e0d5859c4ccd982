"""The outcomes of responses, as counts and histograms that add up over workers, groups and time."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, get_args

# An unfinished response was under way when Locust took its user away.
Outcome = Literal["finished", "failed", "abandoned", "unfinished"]

# Buckets of a histogram are 2 % apart, so that a quantile is at most 1 % off.
_BUCKETS_PER_E = 50
_SHORTEST_S = 1e-6
# Tokens that arrive within this time came together: the client cannot tell when each was made.
_TOGETHER_S = 1e-3


@dataclass(frozen=True)
class Level:
    """A service level: the longest times in seconds; None means no bound.

    `between_s` bounds the mean time between the tokens of a response (TPOT).
    """

    first_s: float | None = None
    between_s: float | None = None


@dataclass(frozen=True)
class LedgerEntry:
    """One response at the client: the times of its request and its tokens, by one clock.

    A response that is not streamed has no times of tokens. `component` is empty if it is hidden,
    and so is `before`, the one that gave the response before it. `of_blend` tells whether the
    request was for the blend, or for a component by its name.
    """

    outcome: Outcome
    model: str
    of_blend: bool
    turn: int
    began_s: float
    ended_s: float
    tokens_s: tuple[float, ...] = ()
    component: str = ""
    before: str = ""

    @property
    def first_s(self) -> float | None:
        """TTFT: from the request to the first token."""
        return self.tokens_s[0] - self.began_s if self.tokens_s else None

    @property
    def between_s(self) -> float | None:
        """TPOT: the mean time between its tokens."""
        if len(self.tokens_s) < 2:
            return None
        return (self.tokens_s[-1] - self.tokens_s[0]) / (len(self.tokens_s) - 1)

    def keeps(self, level: Level) -> bool:
        """Whether it finished in time; a time that it does not have counts as in time."""
        first, between = self.first_s or 0.0, self.between_s or 0.0
        return (
            self.outcome == "finished"
            and (level.first_s is None or first <= level.first_s)
            and (level.between_s is None or between <= level.between_s)
        )


@dataclass
class Histogram:
    """Times by bucket, to quantiles that are at most 1 % off."""

    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        """Count one."""
        self.buckets[round(_BUCKETS_PER_E * math.log(max(seconds, _SHORTEST_S)))] += 1

    def quantile(self, share: float) -> float | None:
        """The smallest time, in seconds, that `share` of all do not exceed; None without any."""
        rank, seen = math.ceil(share * self.buckets.total()), 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return math.exp(bucket / _BUCKETS_PER_E)
        return None


@dataclass
class Tally:
    """Some responses: their number by end, and the times of the finished ones.

    `good` are those that kept the service level. Of `itl`, tokens that came together count as one.
    """

    counts: Counter[str] = field(default_factory=Counter)
    ttft: Histogram = field(default_factory=Histogram)
    itl: Histogram = field(default_factory=Histogram)
    tpot: Histogram = field(default_factory=Histogram)
    e2e: Histogram = field(default_factory=Histogram)

    def add(self, response: LedgerEntry, level: Level) -> None:
        """Count a response; only a finished one has times."""
        self.counts[response.outcome] += 1
        if response.outcome != "finished":
            return
        self.counts["good"] += response.keeps(level)
        self.counts["tokens"] += len(response.tokens_s)
        self.e2e.add(response.ended_s - response.began_s)
        if response.first_s is not None:
            self.ttft.add(response.first_s)
        if response.between_s is not None:
            self.tpot.add(response.between_s)
        for earlier, later in pairwise(_arrivals(response.tokens_s)):
            self.itl.add(later - earlier)

    @property
    def responses(self) -> int:
        """The number of all responses."""
        return sum(self.counts[outcome] for outcome in get_args(Outcome))

    def merge(self, other: "Tally") -> None:
        """Add the responses of another one."""
        self.counts.update(other.counts)
        for mine, its in zip(self._histograms(), other._histograms(), strict=True):
            mine.buckets.update(its.buckets)

    def to_wire(self) -> list[dict[Any, int]]:
        """What Locust's messages carry."""
        return [dict(self.counts), *(dict(h.buckets) for h in self._histograms())]

    @classmethod
    def from_wire(cls, parts: Sequence[Mapping[Any, int]]) -> "Tally":
        """The reverse of `to_wire`."""
        counts, *times = parts
        return cls(Counter(counts), *(Histogram(Counter(buckets)) for buckets in times))

    def _histograms(self) -> tuple[Histogram, ...]:
        return self.ttft, self.itl, self.tpot, self.e2e


def _arrivals(tokens_s: Iterable[float]) -> Iterator[float]:
    """The times at which something arrived, one for tokens that came together."""
    last = -math.inf
    for at_s in tokens_s:
        if at_s - last >= _TOGETHER_S:
            yield at_s
        last = at_s


@dataclass
class Ledger:
    """Tallies by group: a kind of group ('turn', 'component', …) and its name."""

    level: Level
    slot_s: float
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)

    def add(self, response: LedgerEntry, at_s: float) -> None:
        """Count a response in all of its groups; it began `at_s` after the run."""
        for group in _groups(response, int(at_s / self.slot_s)):
            self.tally(*group).add(response, self.level)

    def tally(self, kind: str, name: str = "") -> Tally:
        """The tally of a group, which may be a new one."""
        return self.tallies.setdefault((kind, name), Tally())

    def named(self, kind: str) -> dict[str, Tally]:
        """The tallies of a kind of group, by name."""
        found = sorted((n, tally) for (k, n), tally in self.tallies.items() if k == kind)
        return dict(found)

    def between(self, first: int, end: int) -> Tally:
        """All responses of the slots from `first` until before `end`."""
        found = Tally()
        for slot in range(first, end):
            if tally := self.tallies.get(("slot", str(slot))):
                found.merge(tally)
        return found

    def take(self) -> list[tuple[str, str, list[dict[Any, int]]]]:
        """Everything since the last call, for `give` of another ledger."""
        taken, self.tallies = self.tallies, {}
        return [(kind, name, tally.to_wire()) for (kind, name), tally in taken.items()]

    def give(self, taken: Iterable[Sequence[Any]]) -> None:
        """Add what another ledger has taken."""
        for kind, name, parts in taken:
            self.tally(kind, name).merge(Tally.from_wire(parts))


def turn_group(turn: int) -> str:
    """The range of a turn: turns with histories of similar length."""
    return "1" if turn == 1 else "2 to 4" if turn <= 4 else "5 on"


def _groups(response: LedgerEntry, slot: int) -> Iterator[tuple[str, str]]:
    yield "all", ""
    yield "slot", str(slot)
    yield "model", response.model
    yield "turn", turn_group(response.turn)
    if response.component:
        yield "component", response.component
        if response.of_blend:
            yield "share", response.component
        if response.of_blend and response.before:
            is_same = response.component == response.before
            yield "hand-off", "to itself" if is_same else "to another"
