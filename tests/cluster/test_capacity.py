"""The queue behind a plan, against formulas and a simulation that knows only its rules."""

import heapq
import math
import random
from dataclasses import replace

import pytest

from cluster.capacity import Curve, Lengths, Line, ServiceLevel, distribution, load, replicas

LENGTHS = Lengths(prompt=200, response=60)
LEVEL = ServiceLevel(ttft_s=0.5, itl_s=0.05)
FLAT = Curve(
    ttft=Line(0.1, 0, 0.0005),
    ttft_p99=Line(0.15, 0, 0.00075),
    itl=Line(0.02, 0),
    itl_p99=Line(0.024, 0),
    most=64,
)
# Slower by the number of responses that it shares its engine among.
SHARING = Curve(
    ttft=Line(0.1, 0.004, 0.0005),
    ttft_p99=Line(0.15, 0.006, 0.00075),
    itl=Line(0.02, 0.001),
    itl_p99=Line(0.024, 0.0012),
    most=64,
)


def erlang_b(offered: float, servers: int) -> float:
    """Erlang's loss formula, by its usual recursion."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked


def simulated(
    curve: Curve, rate: float, limit: int, arrivals: int, seed: int
) -> tuple[float, float]:
    """Mean responses under way, and the share refused, of responses with geometric lengths.

    Every response has work that goes down at the rate 1 / S(n) while n are under way.
    """
    rng = random.Random(seed)
    under_way: list[float] = []  # the value of `done` at which each will end
    now = done = area = 0.0
    refused = 0
    for _ in range(arrivals):
        gap = rng.expovariate(rate)
        while under_way:
            speed = 1 / curve.response_s(len(under_way), LENGTHS)
            needed = (under_way[0] - done) / speed
            if needed > gap:
                done += gap * speed
                area += gap * len(under_way)
                break
            area += needed * len(under_way)
            done, gap, now = under_way[0], gap - needed, now + needed
            heapq.heappop(under_way)
        now += gap
        if len(under_way) == limit:
            refused += 1
        else:
            # Geometric lengths around the mean, as a share of the mean.
            length = 1 + int(math.log(1 - rng.random()) / math.log(1 - 1 / LENGTHS.response))
            heapq.heappush(under_way, done + length / LENGTHS.response)
    return area / now, refused / arrivals


@pytest.mark.parametrize(("rate", "limit"), [(2.0, 8), (10.0, 16), (30.0, 64)])
def test_without_sharing_it_is_erlangs_loss_formula(rate: float, limit: int) -> None:
    """Refusals and occupancy agree to twelve digits."""
    offered = rate * FLAT.response_s(1, LENGTHS)
    found = load(FLAT, LENGTHS, rate, limit)

    assert found.refused == pytest.approx(erlang_b(offered, limit), rel=1e-12)
    assert found.running == pytest.approx(offered * (1 - found.refused), rel=1e-12)


@pytest.mark.parametrize(("rate", "limit"), [(4.0, 8), (8.0, 16), (6.0, 24)])
def test_a_simulation_of_sharing_agrees(rate: float, limit: int) -> None:
    """400,000 arrivals each, seeded: responses under way within 2 %, refusals within 5 % or 0.002.

    Over 40 other seeds the worst differences were 0.9 %, and 1.6 % or 0.0012.
    """
    running, refused = simulated(SHARING, rate, limit, 400_000, seed=1)
    found = load(SHARING, LENGTHS, rate, limit)

    assert running == pytest.approx(found.running, rel=0.02)
    assert refused == pytest.approx(found.refused, rel=0.05, abs=0.002)


def test_probabilities_add_up_and_do_not_overflow() -> None:
    """Also far beyond what a replica can answer."""
    for rate in (1e-9, 1.0, 1e6):
        shares = distribution(SHARING, LENGTHS, rate, 2_000)
        assert math.isclose(shares.sum(), 1)
        assert shares.min() >= 0


def test_the_limit_is_the_last_that_meets_the_level() -> None:
    """By first tokens or by those between, whichever ends first; never beyond what was measured."""
    assert SHARING.limit(LENGTHS, LEVEL) == 21
    assert SHARING.itl_p99.at(21, 0) <= LEVEL.itl_s < SHARING.itl_p99.at(22, 0)
    assert SHARING.limit(LENGTHS, replace(LEVEL, ttft_s=0.361)) == 10
    assert SHARING.limit(LENGTHS, replace(LEVEL, ttft_s=0.1)) == 0
    assert FLAT.limit(LENGTHS, LEVEL) == FLAT.most


@pytest.mark.parametrize("rate", [0.1, 3.0, 20.0, 500.0])
def test_replicas_are_the_fewest_that_keep_the_level(rate: float) -> None:
    """One fewer would refuse more than is allowed."""
    count, limit = replicas(SHARING, LENGTHS, LEVEL, rate), SHARING.limit(LENGTHS, LEVEL)

    assert load(SHARING, LENGTHS, rate / count, limit).refused <= 0.01
    if count > 1:
        assert load(SHARING, LENGTHS, rate / (count - 1), limit).refused > 0.01


def test_no_number_of_replicas_helps_a_model_that_is_too_slow() -> None:
    """It is said instead of answered."""
    with pytest.raises(ValueError, match="one response alone misses the service level"):
        replicas(SHARING, LENGTHS, replace(LEVEL, itl_s=0.01), 1.0)
