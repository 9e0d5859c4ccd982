"""Whether a line fits the ratios of a curve: a test on groups of days, and the days that it misses.

With the covariance S of the days' log ratios y, the residuals of the least-squares line are r = M y
with covariance M S M'. Their means over groups of days (1, 2 to 3, 4 to 7, 8 to 15, 16 to 30) tell
bends from noise with few degrees of freedom; g' C^-1 g is compared with Hotelling's distribution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from blended.experiments.moments import Contrast, Moments

# Below this a line is withheld: chance does it once in a hundred lines.
MISFIT_P = 0.01
_FAR = 2.0


@dataclass(frozen=True)
class Fit:
    """The p value of a line's lack of fit, and the days (first, last) that lie far off it."""

    p: float
    off: tuple[tuple[int, int], ...]

    @property
    def is_good(self) -> bool:
        """Whether the line may speak for the days."""
        return self.p >= MISFIT_P


def lack_of_fit(
    test: Moments, control: Moments, days: Sequence[int], of_day: Mapping[int, Contrast]
) -> Fit:
    """Test the line through the log ratios of `test` and `control` on these days."""
    ratios = np.array([test.value(of_day[k]) - control.value(of_day[k]) for k in days])
    spread = sum(arm.covariances([of_day[k] for k in days]) for arm in (test, control))
    groups = _groups(days)
    means = np.array([[(k in group) / len(group) for k in days] for group in groups])
    design = np.column_stack([np.ones(len(days)), np.log(days)])
    residual = means @ (np.eye(len(days)) - design @ np.linalg.pinv(design))
    off, between = residual @ ratios, residual @ spread @ residual.T
    freedom = int(np.linalg.matrix_rank(residual))
    if not freedom:
        return Fit(1.0, ())
    distance = float(off @ np.linalg.pinv(between, rcond=1e-9, hermitian=True) @ off)
    users = min(test.n, control.n)
    scale = (users - freedom) / (freedom * (users - 1))
    far = np.abs(off) > _FAR * np.sqrt(np.diag(between))
    found = [(group[0], group[-1]) for group, is_off in zip(groups, far, strict=True) if is_off]
    return Fit(float(stats.f.sf(distance * scale, freedom, users - freedom)), tuple(found))


def _groups(days: Sequence[int]) -> list[list[int]]:
    """The days in groups that double in length."""
    grouped: dict[int, list[int]] = {}
    for k in days:
        grouped.setdefault(min(k.bit_length(), 5), []).append(k)
    return list(grouped.values())
