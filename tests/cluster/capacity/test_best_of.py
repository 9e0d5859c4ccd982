"""Plans with several candidates for a response."""

import json
import math
import random
from pathlib import Path
from statistics import fmean

import pytest

from blended.config import BestOf
from blended.config.loading import load
from cluster.capacity import reward_profile
from cluster.capacity.best_of import steps, with_candidates
from cluster.capacity.queueing import Lengths
from tests.cluster.capacity.sites import BLEND, curve, furnished, planned, run

K4 = BestOf(k=4)
EARLY = BestOf(k=4, early=24)


@pytest.mark.parametrize(("k", "longest"), [(1, 64), (2, 96), (4, 133), (8, 173)])
def test_the_longest_of_geometric_lengths(k: int, longest: int) -> None:
    """The order statistic in closed form: an alternating sum over subsets of the candidates."""
    found, q = steps(64, BestOf(k=k), None, 0.99), 1 - 1 / 64
    exact = sum((-1) ** (j + 1) * math.comb(k, j) / (1 - q**j) for j in range(1, k + 1))

    assert found.before == pytest.approx(exact, rel=1e-9)
    assert round(found.before) == longest
    assert found.after == 0
    assert found.tokens == pytest.approx(64 * k, rel=1e-9)


@pytest.mark.parametrize("best_of", [K4, EARLY])
def test_the_steps_are_those_of_simulated_responses(best_of: BestOf) -> None:
    """Of 20,000 responses with a limit, within four standard errors (odds of 6e-5 each)."""
    rng, limit = random.Random(5), 100
    q, cut = 1 - 1 / 64, best_of.early or limit

    def length() -> int:
        found = 1
        while rng.random() < q:
            found += 1
        return min(found, limit)

    before, after, tokens = [], [], []
    for _ in range(20_000):
        drawn = [length() for _ in range(best_of.k)]
        chosen = rng.choice(drawn)
        before.append(max(min(n, cut) for n in drawn))
        after.append(max(0, chosen - cut))
        tokens.append(sum(min(n, cut) for n in drawn) + after[-1])
    found = steps(64, best_of, limit, 0.9)

    assert found.before == pytest.approx(fmean(before), rel=0.01)
    assert found.after == pytest.approx(fmean(after), rel=0.04, abs=1e-9)
    assert found.tokens == pytest.approx(fmean(tokens), rel=0.01)
    slower = sum(b > found.slowest for b in before) / len(before)
    assert slower <= 0.11


def test_one_candidate_costs_what_a_response_costs() -> None:
    """Then all time is until the first token that is shown, and it is that of the response."""
    lengths = Lengths(200, 64)
    found, shown = with_candidates(curve(1), lengths, steps(64, BestOf(k=1), None, 0.99), 0.0)

    assert shown.response == 1
    for running in (1, 8):
        expected = curve(1).response_s(running, lengths)
        assert found.response_s(running, shown) == pytest.approx(expected, rel=1e-9)


def test_candidates_take_the_places_of_responses() -> None:
    """A replica that runs 64 sequences has as many fewer responses at once."""
    found = steps(64, K4, None, 0.99)
    slowed, _ = with_candidates(curve(1), Lengths(200, 64), found, 0.5)

    assert found.under_way == pytest.approx(4 * 64 / found.before)
    assert slowed.most == int(64 / found.under_way)
    # The slowest of a hundred waits for the longest of many, and for a late reward model.
    assert slowed.ttft_p99.at(1, 200) > slowed.ttft.at(1, 200) + 0.5


SITE = BLEND.replace("replicas: &few", "best_of: 4\n    replicas: &few") + (
    "reward: {kind: local, model: /models/reward.npz}\n"
)


def _profiled(folder: Path, best_of: int = 4) -> Path:
    site = furnished(folder, SITE)
    document = {
        "component": "reward",
        "made_by": {},
        "serves": reward_profile.served(load(str(site / "blend.yaml"))),
        "best_of": best_of,
        "clients": 8,
        "seconds": 0.02,
        "p99_s": 0.05,
    }
    (site / "reward.json").write_text(json.dumps(document))
    return site


def test_a_plan_counts_candidates_and_the_reward_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """More replicas of the component that has them, none more of the other, and scorers for half.

    The weights are 2 of 4 for the component with candidates.
    """
    (plain := tmp_path / "plain").mkdir()
    (several := tmp_path / "several").mkdir()
    options = ("--rate", "20", "--ttft", "20")
    before = planned(furnished(plain, BLEND), capsys, *options)
    after = planned(_profiled(several), capsys, *options)

    replicas = [
        {name: found["components"][name]["max_replicas"] for name in ("small", "large")}
        for found in (before, after)
    ]
    assert replicas[1]["small"] > replicas[0]["small"]
    assert replicas[1]["large"] == replicas[0]["large"]
    reward = after["reward"]
    assert reward["rate"] == pytest.approx(10)
    assert reward["max_replicas"] == 2  # 10 times 0.02 s, at most 60 % busy, and one to spare
    assert reward["capacity"] == [0, 30]
    assert before["reward"] is None


def test_a_plan_is_written_with_the_reward_models_replicas(tmp_path: Path) -> None:
    """Its file is a valid blend afterwards."""
    site = _profiled(tmp_path)

    assert run(site, "--rate", "20", "--ttft", "20", "--write") == 0
    reward = load(str(site / "blend.yaml")).reward
    assert reward is not None
    assert (reward.replicas.max, reward.replicas.capacity) == (2, (0, 30))


def test_a_profile_of_fewer_candidates_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So is none at all, with the command that makes one."""
    site = _profiled(tmp_path, best_of=2)

    assert run(site, "--rate", "20", "--ttft", "20") == 2
    assert "measure it with --best-of 4" in capsys.readouterr().err
    (site / "reward.json").unlink()
    assert run(site, "--rate", "20", "--ttft", "20") == 2
    assert "python -m cluster.capacity.profile reward --blend" in capsys.readouterr().err
