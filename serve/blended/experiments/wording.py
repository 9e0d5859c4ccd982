"""Effects in words: percent of control where there is a ratio, else points."""

import math

from blended.experiments.effects import Effect
from blended.experiments.measures import LABELS


def name_of(measure: str) -> str:
    """A measure's name inside a sentence."""
    label = LABELS[measure].removesuffix(" (s)")
    return label if label.startswith("TTFT") else label[0].lower() + label[1:]


def change(effect: Effect) -> str:
    """A measure with its difference and the interval."""
    return f"{name_of(effect.measure)} {size(effect)}"


def size(effect: Effect) -> str:
    """The difference with its interval: `+4.1% (+1.0% to +7.2%)`, `+1.20 points (+0.3 to +2.1)`."""
    low, high = (end.removesuffix(" points") for end in ends(effect))
    return f"{value(effect)} ({low} to {high})"


def value(effect: Effect) -> str:
    """The difference."""
    if effect.ratio is not None:
        return _percent(math.expm1(effect.ratio.log))
    assert effect.difference is not None, "every effect has a ratio or a difference"
    return _points(effect.difference.value)


def ends(effect: Effect) -> tuple[str, str]:
    """The ends of the interval that decides."""
    low, high = effect.sides
    if effect.ratio is not None:
        return _percent(math.expm1(low)), _percent(math.expm1(high))
    return _points(low), _points(high)


def detectable(effect: Effect) -> str | None:
    """The lift that these users would have shown with a probability of 80 %."""
    if effect.ratio is None:
        return None
    return f"{math.expm1(effect.ratio.detectable(effect.always_valid)):.1%}"


def _percent(part: float) -> str:
    return f"{part:+.1%}"


def _points(part: float) -> str:
    return f"{100 * part:+.2f} points"
