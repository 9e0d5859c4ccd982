"""How a component came to answer, and how likely another mix would have drawn the same. Pure."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

Mix = Mapping[str, float]


@dataclass(frozen=True)
class Drawing:
    """One kind of draw: all responses of a kind were as likely to be answered as they were.

    `probabilities` are those above 0. `drawn` is the first draw, which does not depend on what was
    available. `asked` are the components that were asked, each once, the one that answered last;
    `left` are those that could be drawn when that one was. Where nobody answered `asked` ends with
    a component that failed; `left` is None there, and where it is not known. `before` gave the
    response that the user had answered; None for the first response of a conversation, and for one
    that replaces another.
    """

    experiment: str | None
    arm: str | None
    probabilities: Mapping[str, float]
    drawn: str
    component: str | None
    asked: tuple[str, ...]
    left: frozenset[str] | None
    before: str | None = None

    @property
    def available(self) -> frozenset[str]:
        """The components that could be drawn before the first was asked."""
        return (self.left or frozenset()) | frozenset(self.asked)


def weight_of_draw(drawing: Drawing, mix: Mix) -> float:
    """How many times as likely `mix` draws the same component first as the logged distribution."""
    return mix.get(drawing.drawn, 0.0) / drawing.probabilities[drawing.drawn]


def weight_of_first_draw(drawing: Drawing, mix: Mix) -> float | None:
    """How many times as likely `mix` draws the same component first, among those that the request
    could have had: 1 on average, whichever components fail. None if the mix has none of those."""
    mass = _mass(mix, drawing.probabilities)
    return weight_of_draw(drawing, mix) / mass if mass else None


def weight_of_answer(drawing: Drawing, mix: Mix) -> float | None:
    """How many times as likely the same component answers under `mix`, other failures being equal.

    Components are asked in the order in which they are drawn, without replacement, among those that
    are available: the likelihood is a product over those that were asked. None if the mix could
    draw none of those that were available.
    """
    available = drawing.available
    if not _mass(mix, available):
        return None
    weight, logged = 1.0, drawing.probabilities
    for name in drawing.asked:
        share = logged[name] / _mass(logged, available)
        mass = _mass(mix, available)
        weight *= mix.get(name, 0.0) / mass / share if mass else 0.0
        available = available - {name}
    return weight


def chances(mix: Mix, available: Collection[str]) -> dict[str, float]:
    """A mix among the components that are available, in proportion; it must have some of them."""
    mass = _mass(mix, available)
    return {name: mix.get(name, 0.0) / mass for name in available}


def _mass(mix: Mix, names: Collection[str]) -> float:
    return math.fsum(mix.get(name, 0.0) for name in names)
