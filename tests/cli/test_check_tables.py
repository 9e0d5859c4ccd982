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
