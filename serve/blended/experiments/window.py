"""The days after joining that the verdict is on: fixed by the plan, before there is any result."""

from dataclasses import dataclass

from blended.experiments.definition import Definition

LONGEST_DAY = 30


@dataclass(frozen=True)
class Window:
    """The days after joining from `first` to `last`, of which those up to `seen` are observed."""

    first: int
    last: int
    seen: int

    @property
    def is_begun(self) -> bool:
        """Whether any user has been observed on one of its days."""
        return self.seen >= self.first

    def __str__(self) -> str:
        return (
            f"day {self.first}" if self.seen <= self.first else f"days {self.first} to {self.seen}"
        )


def window(definition: Definition, planned_end: float, seen: int) -> Window:
    """The later half of the days on which users can be observed, at most days 15 to 30.

    `seen` is the last day after joining on which a user has been observed.
    """
    planned = definition.day_of(planned_end) - definition.day_of(definition.start) - 1
    last = max(1, min(planned, LONGEST_DAY))
    return Window((last + 1) // 2, last, min(seen, last))
