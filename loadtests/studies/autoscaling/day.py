"""A day of requests: hourly rates, a sudden rush, and one change of the weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOUR_S = 3600.0
# Relative numbers of responses in each hour: the night has a sixth of the evening.
_SHAPE = (6, 5, 4, 3, 3, 3, 4, 6, 9, 12, 14, 15, 16, 16, 15, 15, 16, 17, 18, 18, 16, 13, 10, 8)
# More than twice the requests within two minutes, for twenty minutes; over after twenty more.
RUSH_FACTOR = 2.2
_RUSH_H = (14.5, 14.5 + 2 / 60, 14.5 + 22 / 60, 14.5 + 42 / 60)
_CHANGE_H = 10.5


@dataclass(frozen=True)
class Day:
    """The hours of a day from `begin_h` to `end_h`, each of which takes `hour_s` seconds.

    The busiest hour has `busiest` responses per second. `before` and `after` are the weights around
    their change.
    """

    busiest: float
    before: Mapping[str, float]
    after: Mapping[str, float]
    begin_h: float = 0
    end_h: float = 24
    hour_s: float = HOUR_S

    @property
    def length_s(self) -> float:
        """Seconds from its begin to its end."""
        return (self.end_h - self.begin_h) * self.hour_s

    @property
    def change_s(self) -> float:
        """When the weights change, in seconds from the begin."""
        return (_CHANGE_H - self.begin_h) * self.hour_s

    @property
    def quietest(self) -> float:
        """The lowest rate, in responses per second."""
        return float(self.rate(np.linspace(0, self.length_s, 24 * 60)).min())

    def rate(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Responses per second at these times: linear between hours, times the rush."""
        hours = self.begin_h + at_s / self.hour_s
        shape = np.interp(hours, range(25), (*_SHAPE, _SHAPE[0])) / max(_SHAPE)
        return self.busiest * shape * np.interp(hours, _RUSH_H, (1, RUSH_FACTOR, RUSH_FACTOR, 1))

    def arrivals(self, seed: int) -> NDArray[np.float64]:
        """The seconds at which requests arrive, at random with this rate (Poisson, by thinning)."""
        rng = np.random.default_rng(seed)
        most = self.busiest * RUSH_FACTOR
        at_s = np.sort(rng.uniform(0, self.length_s, rng.poisson(most * self.length_s)))
        return at_s[rng.uniform(0, most, at_s.size) < self.rate(at_s)]
