"""The price of blending in prompt tokens, from lengths and draws alone: pure functions.

The prefix cache of a component that answered g turns ago lacks the text since then: g user messages
of U tokens, and the other components' responses in between, (g-1)·R. It has to compute

    g·U + (g-1)·R       where it alone would compute U, so that a blend's price is (g-1)·(U+R).

In its first response g is the turn itself, for everything is new to it. The component is drawn
with probability w in every turn, independently: g has a geometric distribution, cut at turn t,
whose mean is (1 - (1-w)^t) / w. With N components of equal weight it tends to N, and the price of a
turn to (N-1)·(U+R); for any weights the shares times the means tend to N, because Σ w·(1/w) = N.

A cache keeps whole blocks only, and not the last token of a response, which is never fed back. So
of a prompt of P tokens, after one of E tokens with a response of R, it holds B·floor(C/B) tokens,
C = min(E + R - 1, P - 1): the last token of a prompt is always computed.
"""

from collections.abc import Sequence


def last_turns(components: Sequence[str]) -> list[int | None]:
    """For each turn, given the components that answered: its component's previous turn, from 1."""
    found, last = list[int | None](), dict[str, int]()
    for turn, component in enumerate(components, 1):
        found.append(last.get(component))
        last[component] = turn
    return found


def uncached(prompt: int, earlier: int | None, response: int, block: int) -> int:
    """Tokens to compute of a prompt, given the length of the last one with a response (None: none).

    All lengths are in tokens of the component that answers, which splits its own words as it made
    them.
    """
    if earlier is None:
        return prompt
    held = min(earlier + response - 1, prompt - 1)
    return prompt - block * (held // block)


def expected_gap(weight: float, turn: int) -> float:
    """Turns since a component's last response, on average, when it answers a turn, from 1."""
    return (1 - (1 - weight) ** turn) / weight


def expected_price(weights: Sequence[float], turn: int, per_turn: Sequence[float]) -> float:
    """Tokens that a blend computes beyond its components alone, on average over all draws.

    `per_turn` is U+R by component, in its own tokens.
    """
    return sum(
        weight * (expected_gap(weight, turn) - 1) * tokens
        for weight, tokens in zip(weights, per_turn, strict=True)
    )
