"""Point estimates are those of Vowpal Wabbit."""

import numpy as np
import pytest
from vowpalwabbit import Workspace

from blended.learning.drawing import weight_of_answer, weight_of_draw
from blended.learning.ope import evaluate, single
from loadtests.studies.learning.chats import Chats, World

# Powers of 2, because Vowpal Wabbit computes with 32 bits.
WORLD = World((0.1, 0.2, 0.05), (0.7, 0.6, 0.8), (0.1, 0.1, 0.1), mix=(0.25, 0.25, 0.5))
MIXES = {"even": {"a": 0.5, "b": 0.25, "c": 0.25}, "one": {"c": 1.0}}


@pytest.mark.parametrize("reward", ["regenerated", "turns_ahead", "two_more"])
def test_values_are_those_of_vowpal_wabbit(reward: str) -> None:
    """IPS and SNIPS of components and of mixes of them, to 1e-9."""
    chats = WORLD.talk(600, np.random.default_rng(1))
    rewards, ones = chats.rewards()[reward], np.ones(len(chats.drawn))
    mixes = {**single(WORLD.names), **MIXES}
    got = [vowpal_wabbit(chats, place, rewards) for place in range(3)]
    weights = [vowpal_wabbit(chats, place, ones) for place in range(3)]

    for weigh in (weight_of_draw, weight_of_answer):
        found = evaluate(chats.decisions(), mixes, [reward], weigh)
        for name, mix in mixes.items():
            # A mix is worth the sum of its components, each by its share.
            shares = np.array([mix.get(component, 0.0) for component in WORLD.names])
            ips, weight = shares @ got, shares @ weights
            assert found.ips(name, reward).value == pytest.approx(ips, abs=1e-9)
            assert found.mean_weight(name).value == pytest.approx(weight, abs=1e-9)
            assert found.snips(name, reward).value == pytest.approx(ips / weight, abs=1e-9)


def vowpal_wabbit(chats: Chats, policy: int, rewards: np.ndarray) -> float:
    """The mean of the rewards, had one component been drawn always: by `--cb_type ips`."""
    workspace = Workspace("--cb 3 --eval --cb_type ips --quiet")
    for drawn, reward in zip(chats.drawn, rewards, strict=True):
        p = WORLD.mix[drawn]
        workspace.learn(f"{policy + 1} {drawn + 1}:{reward}:{p} | response")
    total: float = workspace.get_sum_loss()
    workspace.finish()
    return total / len(rewards)
