"""Policies made by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from blended.learning import features
from blended.learning.policy import Policy, rounded
from blended.learning.policy_files import FOLDER, write

# What a head adds where a component is favoured: a reward of .88 instead of .5.
FAVOUR = 2.0


def policy(
    components: Sequence[str] = ("a", "b", "c"),
    words: Mapping[str, str] | None = None,
    after: Mapping[str, str] | None = None,
    floor: float = 0.1,
    temperature: float = 0.02,
    name: str = "friends-1",
) -> Policy:
    """A policy that favours a component by a message of one word, or after another component."""
    facts = np.zeros((len(components), features.width(components)))
    for before, favoured in (after or {}).items():
        facts[components.index(favoured), 1 + components.index(before)] = FAVOUR
    table = np.zeros((features.ROWS, len(components)))
    for word, favoured in (words or {}).items():
        table[features.rows([word])[0], components.index(favoured)] = FAVOUR
    return Policy(
        name=name,
        components=tuple(components),
        reward="two_more",
        floor=floor,
        temperature=temperature,
        facts=rounded(facts),
        words=rounded(table) if words else None,
        fitted={"users": 1},
    )


def kept(folder: Path, made: Policy) -> Policy:
    """The policy, whose file is where a router with this state folder finds it."""
    write(made, folder / FOLDER)
    return made
