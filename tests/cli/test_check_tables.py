"""What `blended check` says about a blend."""

import pytest

from blended.cli import check_tables
from blended.config.loading import load, parse


def test_resident_and_active_parameters_are_the_papers() -> None:
    """The paper's trio holds 25B parameters and computes 8.4B of them for a response on average."""
    rows = check_tables.rows(load("paper"))

    assert check_tables.resident_parameters(rows) == pytest.approx(25.1e9, rel=0.01)
    assert check_tables.active_parameters(rows) == pytest.approx(25.1e9 / 3, rel=0.01)


def test_the_demos_parameters_are_counted_from_its_files() -> None:
    """A model on this machine needs no `parameters`: they are counted, without torch."""
    rows = check_tables.rows(load("demo"))

    assert all(row.parameters and 1e5 < row.parameters <= 2e6 for row in rows)


def test_gpus_are_replicas_times_tensor_parallel_size() -> None:
    """One replica on two GPUs counts two, and a remote component none."""
    blend = parse(
        """
name: x
components:
  - id: a
    kind: vllm
    engine: {model: org/a, accelerator: H100, tensor_parallel_size: 2}
    replicas: {min: 1, max: 3}
  - {id: b, kind: remote, base_url: "https://example.org/v1", model: big}
""",
        "x",
    )
    a, b = check_tables.rows(blend)

    assert (a.gpus_per_replica, a.replicas) == (2, (1, 3))
    assert (b.gpus_per_replica, b.replicas) == (0, None)
    assert check_tables.active_parameters([a, b]) is None


def test_the_reward_model_and_its_candidates_are_said() -> None:
    """Its GPUs count among those of the blend; components without candidates are not named."""
    blend = parse(
        """
name: x
components:
  - {id: a, kind: simulated, best_of: {k: 4, early: 24}}
  - {id: b, kind: simulated}
reward: {kind: vllm, engine: {model: org/rm, accelerator: L4}, replicas: {min: 1, max: 2}}
""",
        "x",
    )
    found = check_tables.document(blend)

    assert found["gpus"] == [1, 2]
    assert found["reward"] == {
        "kind": "vllm",
        "model": "org/rm",
        "replicas": [1, 2],
        "gpus_per_replica": 1,
        "accelerator": "L4",
        "candidates": {"a": {"k": 4, "early": 24}},
    }
    assert check_tables.document(load("demo"))["reward"] is None
