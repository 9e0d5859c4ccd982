"""The metrics in docs/operations.md, and how a response counts in them."""

from pathlib import Path

import pytest

from blended.router import metrics
from blended.router.metrics import METRICS, Metric, is_by_weight, turn_range
from cluster.monitoring import queries
from tests.support import blend, eventually, rig

PACKAGE = Path(metrics.__file__).parents[1]
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def row(metric: Metric) -> str:
    tags = ", ".join(metric.tags) or "-"
    return f"| `{queries.name(metric)}` | {metric.kind} | {tags} | {metric.help} |"


def test_the_docs_list_every_metric() -> None:
    """Each metric has its row, with its description and in the order of metrics.py."""
    rows = [
        line for line in OPERATIONS.read_text().splitlines() if line.startswith("| `ray_blended_")
    ]

    assert rows == [row(metric) for metric in METRICS]


def test_no_metric_is_made_elsewhere() -> None:
    """Only metrics.py names Ray's metrics, and each of its metrics is registered."""
    makers = ("ray.util.metrics", "ray.serve.metrics", "ray.serve import metrics")
    modules = [path for path in PACKAGE.rglob("*.py") if any(m in path.read_text() for m in makers)]

    assert [path.name for path in modules] == ["metrics.py"]
    assert [m for m in vars(metrics).values() if isinstance(m, Metric)] == list(METRICS)


def test_no_tag_grows_with_users() -> None:
    """Every tag has few values: no user, no conversation, no id."""
    tags = {tag for metric in METRICS for tag in metric.tags}

    assert tags == {
        *("component", "drawn", "arm", "policy", "state", "outcome", "how", "kind"),
        *("status", "code", "turn", "what", "chosen_by", "reason"),
    }


@pytest.mark.parametrize(
    ("turn", "name"), [(0, "1"), (1, "1"), (2, "2-3"), (7, "4-7"), (8, "8-15"), (900, "16+")]
)
def test_turns_fall_into_ranges(turn: int, name: str) -> None:
    """Conversations of any length have five ranges."""
    assert turn_range(turn) == name


@pytest.mark.parametrize(("seats", "turns"), [(None, [1, 2, 3]), (2, [1])])
async def test_shares_are_those_of_independent_draws(seats: int | None, turns: list[int]) -> None:
    """With seats the turns of one conversation depend on each other, and its first one counts."""
    selection = {} if seats is None else {"per_conversation": seats}
    config = blend("a", "b", selection=selection)
    async with rig(config) as r:
        for turn in (1, 2, 3):
            await r.chat(messages=[{"role": "user", "content": "Hello!"}] * turn)
        await r.chat("a")
        await eventually(lambda: len(r.records) == 4)

    counted = [record for record in r.records if is_by_weight(record, config)]
    assert [record.turn for record in counted] == turns
