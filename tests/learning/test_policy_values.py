"""What a policy is worth, beside another package's figures and a closed form."""

import json

import numpy as np
import pytest

from blended.learning.policy_values import Valued, valued
from tests.learning.open_bandit_pipeline import FIXTURE


def of_fixture() -> tuple[Valued, dict[str, float]]:
    given = json.loads(FIXTURE.read_text())
    drawn = np.array(given["drawn"])
    found = valued(
        np.arange(len(drawn)) % 60,
        drawn,
        np.array(given["propensity"]),
        np.array(given["reward"], dtype=float),
        np.array(given["predicted"]),
        {"policy": np.array(given["policy"]), "same": np.full((len(drawn), 3), 1 / 3)},
    )
    return found, given["values"]


def test_values_are_those_of_the_open_bandit_pipeline() -> None:
    """IPS and SNIPS to 1e-9, and the doubly robust value by the same predictions to 1e-6."""
    found, theirs = of_fixture()

    assert found.ips("policy").value == pytest.approx(theirs["ips"], abs=1e-9)
    assert found.snips("policy").value == pytest.approx(theirs["snips"], abs=1e-9)
    assert found.doubly_robust("policy").value == pytest.approx(theirs["doubly_robust"], abs=1e-6)


def test_users_are_the_unit() -> None:
    """The standard error is that of means over users: here each has as many responses."""
    found, _ = of_fixture()
    value = found.doubly_robust("policy")
    robust = found.moments.sums[found.moments.columns.index("policy.robust")]

    assert found.moments.n == 60
    assert value.value == pytest.approx(robust / 240)
    spread = found.moments.products[(found.moments.columns.index("policy.robust"),) * 2]
    by_user = spread / 60 - (robust / 60) ** 2
    assert value.se == pytest.approx(np.sqrt(by_user / 59) / 4)


def test_a_policy_gains_nothing_over_itself() -> None:
    """And a gain is the difference of two values."""
    found, _ = of_fixture()
    gain = found.gain("policy", "same")

    assert gain.value == pytest.approx(
        found.doubly_robust("policy").value - found.doubly_robust("same").value
    )
    assert found.gain("same", "same").value == 0
