"""Two arms compared: differences of log means with intervals at a fixed time or at any time.

An interval for a fixed time has its coverage for one look, at a time that was chosen before. An
always-valid interval has its coverage for any number of looks, and is wider.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from blended.experiments.moments import Contrast, Moments

ALPHA = 0.05
POWER = 0.8
# The number of users for which always-valid intervals are narrowest (the default of GrowthBook).
TUNED_FOR_USERS = 5000


@dataclass(frozen=True)
class Estimate:
    """An estimate on the log scale, its standard error, and the number of users behind it.

    `freedom` are the degrees of freedom of the standard error. With few users behind a measure it
    is uncertain itself, and intervals for a fixed time are those of Student's t.
    """

    log: float
    se: float
    users: int
    freedom: float = math.inf

    def interval(self, alpha: float = ALPHA, always_valid: bool = False) -> tuple[float, float]:
        """The interval on the log scale that misses the truth with probability `alpha`."""
        far = reach(self.users, self.freedom, alpha, always_valid) * self.se
        return self.log - far, self.log + far

    def p_value(self, always_valid: bool = False) -> float:
        """The two-sided p value of no difference: the least alpha whose interval leaves out 0."""
        z = abs(self.log) / self.se if self.se > 0 else math.inf if self.log else 0.0
        return p_beyond(z, self.users, self.freedom, always_valid)

    def detectable(self, always_valid: bool = False, power: float = POWER) -> float:
        """The log that would be called different with probability `power`, if it were the truth."""
        z = reach(self.users, self.freedom, ALPHA, always_valid) + float(special.ndtri(power))
        return z * self.se


def reach(users: int, freedom: float, alpha: float, always_valid: bool) -> float:
    """How many standard errors an interval reaches to either side."""
    if always_valid:
        return always_valid_factor(users, alpha)
    return -float(special.stdtrit(freedom, alpha / 2))


def p_beyond(z: float, users: int, freedom: float, always_valid: bool) -> float:
    """The p value of an estimate that is `z` standard errors from 0: the alpha of that reach."""
    if not always_valid:
        return float(2 * special.stdtr(freedom, -z))
    spread = users * _rho(ALPHA) ** 2
    exponent = z**2 * spread / (2 * (spread + 1))
    return float(min(1.0, math.sqrt(spread + 1) * math.exp(-exponent)))


def always_valid_factor(users: int, alpha: float = ALPHA) -> float:
    """How many standard errors an always-valid interval reaches to either side.

    The asymptotic confidence sequence of Waudby-Smith et al. (arXiv 2103.06476, theorem 2.2).
    """
    spread = users * _rho(alpha) ** 2
    return math.sqrt(2 * (spread + 1) / spread * math.log(math.sqrt(spread + 1) / alpha))


def _rho(alpha: float) -> float:
    """The parameter that makes the sequence narrowest at TUNED_FOR_USERS (there, section 2.3)."""
    log = -2 * math.log(alpha)
    return math.sqrt((log + math.log(log + 1)) / TUNED_FOR_USERS)


def level(arm: Moments, contrast: Contrast) -> Estimate:
    """A contrast's estimate in one arm."""
    se = _root(arm.covariance(contrast, contrast))
    return Estimate(arm.value(contrast), se, arm.n, _freedom([arm], contrast))


def difference(
    test: Moments, control: Moments, contrast: Contrast, history: Contrast | None = None
) -> Estimate:
    """The difference of a contrast between `test` and `control`: the log of their ratio.

    `history` is a contrast of what the same users did before the experiment, in which the arms
    differ by chance only. The part that correlates with it is subtracted (CUPED, Deng et al. 2013),
    with the factor that leaves the least variance.
    """
    log = test.value(contrast) - control.value(contrast)
    variance = sum(arm.covariance(contrast, contrast) for arm in (test, control))
    if history is not None:
        both = sum(arm.covariance(contrast, history) for arm in (test, control))
        before = sum(arm.covariance(history, history) for arm in (test, control))
        factor = both / before if before > 0 else 0.0
        log -= factor * (test.value(history) - control.value(history))
        variance -= factor * both
    users, freedom = test.n + control.n, _freedom([test, control], contrast)
    return Estimate(log, _root(variance), users, freedom)


def _freedom(arms: Sequence[Moments], contrast: Contrast) -> float:
    """Degrees of freedom from the smallest effective number of users of any sum, in either arm."""
    return max(1.0, min(arm.effective_users(column) for arm in arms for column in contrast) - 1)


def _root(variance: float) -> float:
    # If users do not differ, rounding leaves a small positive or negative number instead of 0.
    return math.sqrt(max(variance, 0.0))


def sample_ratio_p(counts: Sequence[int], shares: Sequence[float]) -> float:
    """The p value of the numbers of users in the arms, given the shares (chi-square). A sample
    ratio mismatch is a sign that users were lost or moved, and that arms cannot be compared."""
    expected = np.array(shares) / sum(shares) * sum(counts)
    distance = float(((counts - expected) ** 2 / expected).sum())
    return float(special.chdtrc(len(counts) - 1, distance))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected for their number: the chance that any is below alpha by chance is at
    most alpha (Holm 1979)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    result = np.empty(len(p))
    result[order] = np.minimum(corrected, 1.0)
    return [float(value) for value in result]
