"""Tests whether a process's memory grows by more than chance explains: pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats

# Neighbouring samples are correlated; the means of this many blocks are nearly independent.
BLOCKS = 10
# Of the two-sided interval: with 30 processes, one in 60 soaks calls a flat one growing.
LEVEL = 0.999
# Growth up to this size cannot be told from allocators and caches that fill up.
FEWEST_MIB = 4.0


@dataclass(frozen=True)
class Trend:
    """The straight line through the memory of one process, over the measured seconds."""

    mib: float
    slope_mib_per_h: float
    standard_error_mib_per_h: float
    low_mib_per_h: float
    seconds: float

    @property
    def growth_mib(self) -> float:
        """How much the line rises over the run."""
        return self.slope_mib_per_h * self.seconds / 3600

    @property
    def grows(self) -> bool:
        """Whether the whole interval of the slope is above 0, and the growth is not negligible."""
        return self.low_mib_per_h > 0 and self.growth_mib > FEWEST_MIB


def trend(times_s: Sequence[float], mib: Sequence[float], from_s: float, until_s: float) -> Trend:
    """Ordinary least squares through the means of `BLOCKS` blocks of equal length in time.

    The interval is Student's with `BLOCKS - 2` degrees of freedom at `LEVEL`. Samples before
    `from_s` or after `until_s` are left out.

    Raises:
        ValueError: a block has no sample.
    """
    times, values = np.asarray(times_s), np.asarray(mib)
    edges = np.linspace(from_s, until_s, BLOCKS + 1)
    blocks = [(low <= times) & (times < high) for low, high in pairwise(edges)]
    if not all(block.any() for block in blocks):
        raise ValueError(f"The samples do not fill {BLOCKS} blocks of {edges[1] - edges[0]:.0f} s.")
    at_h = np.array([times[block].mean() for block in blocks]) / 3600
    means = np.array([values[block].mean() for block in blocks])
    off = at_h - at_h.mean()
    above = means - means.mean()
    slope = float(off @ above / (off @ off))
    residuals = above - slope * off
    error = float(np.sqrt(residuals @ residuals / (BLOCKS - 2) / (off @ off)))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, BLOCKS - 2)) * error
    return Trend(float(means.mean()), slope, error, slope - reach, until_s - from_s)
