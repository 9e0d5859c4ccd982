"""The habits of simulated users, whose true retention and engagement are known: pure NumPy.

activity = draw([ArmEffect("control"), ArmEffect("blend", retention=1.15)], arms, joined, 30, rng)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from blended.errors import ConfigError

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY_S = 86_400

# Without an effect the share R(k) = R1 k^-BETA comes back on day k, for E(k) = ALPHA_S k^GAMMA s
# each.
R1, BETA = 0.30, 0.35
ALPHA_S, GAMMA = 600.0, -0.05

_ZEAL_SIGMA, _NOISE_SIGMA = 0.5, 0.6
_GREATEST_HABIT = 2.0


@dataclass(frozen=True)
class ArmEffect:
    """The effect of an arm on its users, from the first day after they joined.

    It multiplies R(k) by `retention` k^`retention_decay`, and E(k) likewise.

    Raises:
        ConfigError: a factor that is not above 0, or anything that is not finite.
    """

    name: str
    retention: float = 1.0
    engagement: float = 1.0
    retention_decay: float = 0.0
    engagement_decay: float = 0.0

    def __post_init__(self) -> None:
        exponents = self.retention_decay, self.engagement_decay
        if not (min(self.retention, self.engagement) > 0 and all(map(math.isfinite, self.numbers))):
            raise ConfigError(
                f"The arm '{self.name}' has the factors {self.retention:g} and "
                f"{self.engagement:g} and the exponents {exponents[0]:g} and {exponents[1]:g}; "
                "factors must be above 0, and all of them finite."
            )

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """The two factors and the two exponents."""
        return self.retention, self.engagement, self.retention_decay, self.engagement_decay


@dataclass(frozen=True)
class Activity:
    """The activity of n users on their days 0 to days - 1 since joining; both arrays are (n, days).

    `seconds` is the time in sessions, 0 on a day that is not active. Days beyond the end are not
    active.
    """

    active: Bools
    seconds: Floats


def true_retention(effect: ArmEffect, k: npt.ArrayLike) -> Floats:
    """The probability that a user of the arm is active on day k since joining; 1 for k = 0."""
    return _power(k, R1 * effect.retention, effect.retention_decay - BETA, at_first=1.0)


def true_engagement(effect: ArmEffect, k: npt.ArrayLike) -> Floats:
    """The mean seconds of those who are active on day k; no arm has changed day 0 yet."""
    return _power(k, ALPHA_S * effect.engagement, effect.engagement_decay + GAMMA, ALPHA_S)


def check(effects: Sequence[ArmEffect], days: int) -> None:
    """Refuse impossible effects.

    Raises:
        ConfigError: a user would come back with a probability above 1.
    """
    for effect in effects:
        likeliest = _GREATEST_HABIT * true_retention(effect, np.arange(1, max(2, days))).max()
        if likeliest > 1:
            raise ConfigError(
                f"In the arm '{effect.name}' the most faithful users would come back with "
                f"probability {likeliest:.2f}; give a smaller retention or retention_decay."
            )


def draw(
    effects: Sequence[ArmEffect],
    arm_of_user: Ints,
    join_day: Ints,
    days: int,
    rng: np.random.Generator,
) -> Activity:
    """Live the days of n users: `arm_of_user` (n,) indexes `effects`, `join_day` (n,) is from 0.

    Each has a habit (2 Beta(2, 2), of mean 1) that their returns are proportional to and otherwise
    independent, and a zeal (log-normal, of mean 1) that their seconds are. Both average out to
    exactly `true_retention` and `true_engagement`, and make the days of one user alike.

    Raises:
        ConfigError: somebody would come back with a probability above 1.
    """
    check(effects, days)
    since = np.arange(days)
    retention = np.stack([true_retention(effect, since) for effect in effects])
    engagement = np.stack([true_engagement(effect, since) for effect in effects])
    users = len(arm_of_user)
    habit = _GREATEST_HABIT * rng.beta(2, 2, users)
    zeal = _mean_one(_ZEAL_SIGMA, users, rng)

    active = rng.random((users, days)) < habit[:, None] * retention[arm_of_user]
    active[:, 0] = True
    active &= join_day[:, None] + since < days
    user, day = np.nonzero(active)
    seconds = np.zeros((users, days))
    noise = _mean_one(_NOISE_SIGMA, len(user), rng)
    seconds[user, day] = engagement[arm_of_user[user], day] * zeal[user] * noise
    return Activity(active, seconds)


def _power(k: npt.ArrayLike, level: float, exponent: float, at_first: float) -> Floats:
    days = np.asarray(k, dtype=np.float64)
    return np.where(days > 0, level * np.maximum(days, 1) ** exponent, at_first)


def _mean_one(sigma: float, size: int, rng: np.random.Generator) -> Floats:
    return rng.lognormal(-(sigma**2) / 2, sigma, size)
