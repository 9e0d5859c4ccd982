"""Writes open_bandit_pipeline.json: what another package says of the same draws.

    python -m venv /tmp/obp; /tmp/obp/bin/pip install sb-obp==0.5.10
    /tmp/obp/bin/python tests/learning/open_bandit_pipeline.py

The package wants a NumPy before 2, so that it has a Python of its own and is no dependency here.
"""

import importlib
import importlib.metadata
import json
import random
from pathlib import Path
from typing import Any

FIXTURE = Path(__file__).with_suffix(".json")
RESPONSES, COMPONENTS = 240, 3


def draws() -> dict[str, Any]:
    """Responses whose reward depends on the component, with a policy and predictions."""
    rng, rows = random.Random(1), range(RESPONSES)
    logged = [_distribution(rng) for _ in rows]
    drawn = [rng.choices(range(COMPONENTS), one)[0] for one in logged]
    return {
        "drawn": drawn,
        "propensity": [one[place] for one, place in zip(logged, drawn, strict=True)],
        "reward": [int(rng.random() < 0.3 + 0.2 * place) for place in drawn],
        "policy": [_distribution(rng) for _ in rows],
        "predicted": [[round(rng.random(), 6) for _ in range(COMPONENTS)] for _ in rows],
    }


def _distribution(rng: random.Random) -> list[float]:
    weights = [rng.randint(1, 8) for _ in range(COMPONENTS)]
    return [weight / sum(weights) for weight in weights]


def values(given: dict[str, Any]) -> dict[str, float]:
    """IPS, SNIPS and the doubly robust value by that package."""
    np, ope = importlib.import_module("numpy"), importlib.import_module("obp.ope")
    common = {
        "reward": np.array(given["reward"], dtype=float),
        "action": np.array(given["drawn"]),
        "action_dist": np.array(given["policy"])[:, :, None],
        "position": np.zeros(RESPONSES, dtype=int),
    }
    weighted = {**common, "pscore": np.array(given["propensity"])}
    predicted = {"estimated_rewards_by_reg_model": np.array(given["predicted"])[:, :, None]}
    return {
        "ips": float(ope.InverseProbabilityWeighting().estimate_policy_value(**weighted)),
        "snips": float(
            ope.SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**weighted)
        ),
        "doubly_robust": float(ope.DoublyRobust().estimate_policy_value(**weighted, **predicted)),
    }


if __name__ == "__main__":
    found = draws()
    version = importlib.metadata.version("sb-obp")
    FIXTURE.write_text(json.dumps({"sb-obp": version, **found, "values": values(found)}) + "\n")
