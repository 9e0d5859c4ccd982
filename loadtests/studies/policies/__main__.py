"""What policies are worth and what they cost: python -m loadtests.studies.policies

Simulates journals in which the best component depends on the message, and others in which it does
not. Fits a policy to each, judges it by the users that it has not met, and compares with the truth,
which is known: the gain of the best policy is 4 points over the uniform mix, that of the best mix
1. Then measures the time of a prediction, and what a policy adds to the router's time for a
request, without a network. Prints a table and, last, one line of JSON; `--save` writes it to
loadtests/results/policies.json.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from blended.learning import features
from blended.learning.features import Facts
from blended.learning.fit import MOST_SQUARE, fit, predictions
from blended.learning.policy import Policy
from blended.learning.policy_evaluation import evaluated
from loadtests.harness.provenance import made_by
from loadtests.studies.policies.messages import NAMES, REWARD, Floats, Talks, World
from loadtests.studies.policies.router_time import router_time

SAVED = Path(__file__).parents[2] / "results" / "policies.json"
FLOOR = 0.1
# By the floor's .8 for the best and .1 for each other: gains of 4 and of 1 points.
DEPENDENT = World(dependence=0.04 / 0.7, main=0.01 / 0.7)
INDEPENDENT = World(main=0.01 / 0.7)
_FRESH_USERS, _PREDICTIONS, _WORDS = 6_000, 20_000, 128


def learned(world: World, users: int, rng: np.random.Generator) -> dict[str, float]:
    """One journal: a policy is fitted, judged, and compared with the truth on fresh users."""
    rows = world.talk(users, rng).rows()
    policy = fit(rows, "study", REWARD, FLOOR)
    found, fresh = evaluated(policy, rows), world.talk(_FRESH_USERS, rng)
    chances = _chances(policy, fresh)
    static = fresh.value(np.array([found.static[name] for name in NAMES]))
    value, best = fresh.value(chances), fresh.best(FLOOR)
    on_policy = float(world.talk(_FRESH_USERS, rng, policy).reward.mean())
    (_, robust), gain = found.values["policy"], found.gain
    low, high = robust.interval(always_valid=False)
    return {
        "gain": value - fresh.uniform,
        "best_gain": best - fresh.uniform,
        "static_gain": static - fresh.uniform,
        "share_of_best": (value - fresh.uniform) / (best - fresh.uniform),
        "doubly_robust": robust.value,
        "on_policy": on_policy,
        "held": float(low <= value <= high),
        "gain_over_static": gain.value,
        "called_better_in_one_look": float(gain.interval(always_valid=False)[0] > 0),
        "called_better": float(not found.refusals),
        "mean_square_of_weights": found.mean_square,
        "agreement_before_message": found.agreement,
    }


def _chances(policy: Policy, talks: Talks) -> Floats:
    found: Floats = policy.probabilities(predictions(policy, talks.rows()))
    return found


def runs(world: World, count: int, users: int, rng: np.random.Generator) -> dict[str, Any]:
    """Means, least and greatest values over some journals."""
    found = [learned(world, users, rng) for _ in range(count)]
    return {
        name: {
            "mean": float(np.mean([one[name] for one in found])),
            "least": float(min(one[name] for one in found)),
            "greatest": float(max(one[name] for one in found)),
        }
        for name in found[0]
    }


def prediction(rng: np.random.Generator) -> dict[str, float]:
    """Processor microseconds from a message of 128 words to its probabilities: median and p99."""
    policy = fit(DEPENDENT.talk(500, rng).rows(), "study", REWARD, FLOOR)
    texts = [" ".join(f"word{n}" for n in rng.integers(0, 5000, _WORDS)) for _ in range(100)]
    took = np.empty(_PREDICTIONS)
    for place in range(_PREDICTIONS):
        began = time.thread_time()
        added = policy.added(features.words(texts[place % 100]))
        policy.distribution(Facts(3, _WORDS, "a", 9.0, False), added, NAMES)
        took[place] = 1e6 * (time.thread_time() - began)
    return {"p50_us": float(np.median(took)), "p99_us": float(np.quantile(took, 0.99))}


def measure(journals: int, users: int, rounds: int, seed: int) -> dict[str, Any]:
    """All of it, at the sizes that are stated."""
    began, rng = time.perf_counter(), np.random.default_rng(seed)
    return {
        "simulated": True,
        **made_by("loadtests.studies.policies"),
        "seed": seed,
        "journals": journals,
        "users": users,
        "floor": FLOOR,
        "most_mean_square": MOST_SQUARE,
        "dependent": runs(DEPENDENT, journals, users, rng),
        "independent": runs(INDEPENDENT, journals, users, rng),
        "prediction_of_128_words": prediction(rng),
        "router": router_time(rounds),
        "seconds": round(time.perf_counter() - began),
    }


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journals", type=int, default=40, help="of each of two worlds")
    parser.add_argument("--users", type=int, default=20_000, help="of each journal")
    parser.add_argument("--rounds", type=int, default=40, help="of the router's time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep it in loadtests/results")
    options = parser.parse_args()
    result = measure(options.journals, options.users, options.rounds, options.seed)
    if options.save:
        SAVED.write_text(json.dumps(result, indent=1) + "\n")
    for world in ("dependent", "independent"):
        for name, of in result[world].items():
            print(
                f"{world:12} {name:26} {of['mean']:8.4f} {of['least']:8.4f} {of['greatest']:8.4f}"
            )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
