"""Shapes of the load over a run: each is a function of the elapsed time, both as shares.

`at` is the share of the run that is over (0 to 1); the value is the share of the largest load:
of the rate in an open loop, of the users in a closed one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

# A flash crowd lasts for the fifth of the run around its middle; a soak starts slowly.
_FLASH, _SOFT = (0.4, 0.6), 0.05


@dataclass(frozen=True)
class LoadShape:
    """A shape by its name, with the share of the load where it is lowest, and its steps.

    Raises:
        ValueError: there is no such shape, or a number is impossible.
    """

    name: str = "steady"
    low: float = 0.2
    steps: int = 8

    def __post_init__(self) -> None:
        if self.name not in SHAPES:
            raise ValueError(f"There is no shape {self.name!r}; there are {', '.join(SHAPES)}.")
        if not 0 <= self.low <= 1:
            raise ValueError(f"The lowest load is {self.low} of the largest; it must be 0 to 1.")
        if self.steps < 1:
            raise ValueError(f"A run has {self.steps} steps; it must have 1 or more.")

    def level(self, at: float) -> float:
        """The share of the largest load when the share `at` of the run is over."""
        return SHAPES[self.name](min(max(at, 0.0), 1.0), self)


def _flash(at: float, shape: LoadShape) -> float:
    return 1.0 if _FLASH[0] <= at < _FLASH[1] else shape.low


def _diurnal(at: float, shape: LoadShape) -> float:
    """A day from its quietest hour to the next one."""
    return shape.low + (1 - shape.low) * (1 - math.cos(2 * math.pi * at)) / 2


def _step(at: float, shape: LoadShape) -> float:
    return min(shape.steps, 1 + int(at * shape.steps)) / shape.steps


SHAPES: dict[str, Callable[[float, LoadShape], float]] = {
    "steady": lambda at, shape: 1.0,
    "ramp": lambda at, shape: at,
    "step": _step,
    "diurnal": _diurnal,
    "flash": _flash,
    "soak": lambda at, shape: min(1.0, at / _SOFT),
}
