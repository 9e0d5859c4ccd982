"""Safe ascent: the next shares of a mix, from what is known of its components. Pure.

A mix moves by one small step, from a component to one that is better at any time that one may look
(the always-valid lower bound of their difference is above 0), and never below a floor. It goes back
to uniform when it is worse than the uniform mix in the same sense.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from blended.errors import ConfigError
from blended.experiments.mixes_over_time import Shares, are_equal, uniform_shares

# Shares are written so, that people can read them.
_DIGITS = 4
_LEAST = 0.5 * 10**-_DIGITS


@dataclass(frozen=True)
class Apart:
    """How much better the one is than the other, with the ends of an always-valid interval."""

    one: str
    other: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Rules:
    """`floor` is the least share, `max_step` the most that moves at once; `ceilings` are the
    largest shares that components have the capacity for."""

    floor: float
    max_step: float
    ceilings: Mapping[str, float]


@dataclass(frozen=True)
class Move:
    """The next shares, and why. `stay` leaves them as they are."""

    kind: Literal["stay", "step", "back"]
    shares: Shares
    reason: str


def check(shares: Shares, rules: Rules) -> None:
    """Refuse rules that these shares cannot keep.

    Raises:
        ConfigError: the floor is too high, or a share is below it already.
    """
    most = 1 / len(shares)
    if not 0 < rules.floor < most:
        raise ConfigError(
            f"The floor is {rules.floor:g}, and {len(shares)} components need one above 0 and "
            f"below {most:.3g}, their uniform share."
        )
    name, least = min(shares.items(), key=lambda item: item[1])
    if least < rules.floor - _LEAST:
        raise ConfigError(
            f"The share of '{name}' is {least:.1%}, below the floor of {rules.floor:.1%}; give it "
            "more weight, or lower the floor."
        )


def next_mix(
    shares: Shares, pairs: Sequence[Apart], rules: Rules, over_uniform: Apart | None
) -> Move:
    """The move of a day.

    `pairs` has each two components that can be compared, in either order. `over_uniform` is how
    much better the mix is than the uniform one, None if that is not known.
    """
    if over_uniform and over_uniform.high < 0 and not is_uniform(shares):
        return back(shares, over_uniform)
    shown = [pair for pair in map(_better_first, pairs) if pair.low > 0]
    if not shown:
        return Move("stay", shares, "No component is shown to be better than another.")
    possible = [pair for pair in shown if _room(shares, pair, rules) > _LEAST]
    if not possible:
        best = max(shown, key=lambda pair: pair.value)
        return Move(
            "stay",
            shares,
            f"'{best.one}' is better than '{best.other}', but every worse component is at its "
            "floor or every better one at its ceiling.",
        )
    best = max(possible, key=lambda pair: pair.value)
    step = _room(shares, best, rules)
    moved = {**shares, best.one: shares[best.one] + step, best.other: shares[best.other] - step}
    return Move(
        "step",
        _rounded(moved),
        f"'{best.one}' is better than '{best.other}' by {best.value:+.3g} (at least "
        f"{best.low:+.3g}): {step:.1%} move from the one that is worse.",
    )


def back(shares: Shares, over_uniform: Apart) -> Move:
    """To the uniform mix, which is better."""
    return Move(
        "back",
        uniform_shares(shares),
        f"The mix is worse than the uniform one by {-over_uniform.value:.3g} (at least "
        f"{-over_uniform.high:.3g}), so it goes back to uniform. Evidence counts from then on.",
    )


def is_uniform(shares: Shares) -> bool:
    """Whether all shares are equal."""
    return are_equal(shares, uniform_shares(shares))


def _better_first(pair: Apart) -> Apart:
    if pair.value >= 0:
        return pair
    return Apart(pair.other, pair.one, -pair.value, -pair.high, -pair.low)


def _room(shares: Shares, pair: Apart, rules: Rules) -> float:
    """What may move from the worse component to the better one."""
    above = shares[pair.other] - rules.floor
    below = rules.ceilings.get(pair.one, 1.0) - shares[pair.one]
    return max(0.0, min(rules.max_step, above, below))


def _rounded(shares: Shares) -> dict[str, float]:
    """Shares of a few digits that add up to 1: the largest takes what is left."""
    found = {name: round(share, _DIGITS) for name, share in shares.items()}
    largest = max(found, key=lambda name: found[name])
    rest = math.fsum(share for name, share in found.items() if name != largest)
    return {**found, largest: round(1 - rest, _DIGITS)}
