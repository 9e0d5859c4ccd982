"""Simulated experiments whose truth is known: what the arms do, and how users differ."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from blended.experiments.curves import Curve
from loadtests.studies.population.habits import (
    ArmEffect,
    Floats,
    true_engagement,
    true_retention,
)

DAYS, JOIN_DAYS, HISTORY_DAYS = 40, 10, 14
WINDOW = range(15, 31)
SHOWN_DAYS = (1, 7, 14, 30)

EFFECTS = (ArmEffect("control"), ArmEffect("test", 1.15, 1.1, 0.02, -0.01))
NO_EFFECTS = (ArmEffect("control"), ArmEffect("test"))
DECAY = (ArmEffect("control"), ArmEffect("test", 1.3, 1.2, -0.15, -0.1))


@dataclass(frozen=True)
class World:
    """An experiment on so many users, half of them in each arm.

    Users of 'test' come `novelty` times as often on days 1 to 4, and wait `slower` times as long
    for first bytes. `tails` is the sigma of a log-normal factor on the time of each user.
    """

    name: str
    effects: tuple[ArmEffect, ArmEffect]
    users: int = 2000
    novelty: float = 1.0
    slower: float = 1.0
    tails: float = 0.0

    def truth(self) -> Mapping[str, float]:
        """The logs of what is estimated, those of curves by day."""
        control, test = self.effects
        of_window = self._of_window(test) - self._of_window(control)
        slower = math.log(self.slower)
        return {
            "retention": float(of_window[0]),
            "engagement": float(of_window[1]),
            "ttft_p50": slower,
            "ttft_p95": slower,
            "delta_zeta": math.log(test.retention),
            "delta_beta": test.retention_decay,
            "delta_alpha": math.log(test.engagement),
            "delta_gamma": test.engagement_decay,
        }

    def curve(self, curve: Curve, arm: str, k: int) -> float:
        """The true value of a curve on day k."""
        effect = next(e for e in self.effects if e.name == arm)
        of_day = true_retention if curve == "retention" else true_engagement
        return float(of_day(effect, k)) * (
            self._novelty(effect, k) if of_day is true_retention else 1
        )

    def _novelty(self, effect: ArmEffect, k: int) -> float:
        return self.novelty if effect is self.effects[1] and 1 <= k <= 4 else 1.0

    def _of_window(self, effect: ArmEffect) -> Floats:
        """The logs of the mean share who come, and of the mean time of those who come."""
        days = np.array(WINDOW)
        came, stayed = true_retention(effect, days), true_engagement(effect, days)
        logs: Floats = np.log([came.mean(), (came * stayed).sum() / came.sum()])
        return logs


WORLDS = (
    World("effects", EFFECTS, slower=1.05),
    World("decay", DECAY),
    World("novelty", NO_EFFECTS, novelty=1.4),
    World("heavy tails, 200 users per arm", NO_EFFECTS, users=400, tails=1.5),
    World("heavy tails", NO_EFFECTS, tails=1.5),
)
NO_DIFFERENCE = World("no difference", NO_EFFECTS)
