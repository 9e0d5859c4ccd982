"""The rewards of a response, each defined once: what its user did next, and what it cost.

A reward is known when its horizon is over: within one day after the response. Younger responses
are not looked at, because all of them would look bad.
"""

from dataclasses import dataclass
from typing import Literal

# A user who goes on answers within this time, in seconds of a day of 24 hours.
QUICK_S = 180.0
# An edit changes the response if it changes more than this part of it.
EDITED = 0.2
# What the journal is asked to add up over responses, `responses` being their number.
SUMS = (
    "responses",
    "regenerated",
    "kept",
    "continued",
    "two_more",
    "turns_ahead",
    "thumbs",
    "waited_s",
    "engine_s",
)


@dataclass(frozen=True)
class Reward:
    """A column of SUMS, as a mean over responses; `goal` is the better direction."""

    name: str
    label: str
    goal: Literal["higher", "lower"]
    definition: str


_CONTINUED = Reward(
    "continued",
    "Continued within 180 s",
    "higher",
    "The user's next message came within 180 s of the response's end.",
)
_THUMBS = Reward(
    "thumbs",
    "Thumbs",
    "higher",
    "1 for a thumb up, -1 for a thumb down, 0 for none: few users give any.",
)
# What a component does to what comes next.
AFTERMATH = (
    Reward("regenerated", "Regenerated", "lower", "The user had the response drawn again."),
    _CONTINUED,
    _THUMBS,
    Reward(
        "turns_ahead",
        "Turns still to come",
        "higher",
        "Messages that the user still wrote in this conversation, within a day.",
    ),
    Reward(
        "waited_s",
        "TTFT (s)",
        "lower",
        "Seconds until the first byte that the user got, other components' failures included; of a "
        "response without one, until it failed.",
    ),
)
# What a mix of components can be chosen by.
REWARDS = (
    Reward(
        "kept",
        "Kept",
        "higher",
        "The user neither had the response drawn again nor edited more than a fifth of it.",
    ),
    _CONTINUED,
    Reward(
        "two_more",
        "Two more turns",
        "higher",
        "The user wrote at least two more messages in this conversation, within a day.",
    ),
    _THUMBS,
)
# Those that a response gets or not: a policy predicts how likely one is.
YES_OR_NO = ("kept", "continued", "two_more")
COST = Reward(
    "engine_s",
    "Engine seconds",
    "lower",
    "Seconds that the component worked on the response, times the GPUs of one of its replicas (1 "
    "where none is known). Responses that are served together share them: an upper bound.",
)
