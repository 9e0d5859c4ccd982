"""The outcomes as a table, as a picture and as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from loadtests.studies.autoscaling.day import Day
from loadtests.studies.autoscaling.outcome import DayOutcome

_COLUMNS = ("policy", "not in time", "late", "slow", "refused", "replica hours", "up", "down")


def table(title: str, outcomes: Mapping[str, DayOutcome]) -> Table:
    """A row for each contender."""
    view = Table(title=title)
    for column in _COLUMNS:
        view.add_column(column)
    for name, found in outcomes.items():
        ends = [str(found.ends[end]) for end in ("late", "slow", "refused")]
        hours = f"{found.replica_s / 3600:.2f}"
        moves = str(found.ups), str(found.downs)
        view.add_row(name, f"{found.violations:.3%}", *ends, hours, *moves)
    return view


def save(path: Path, day: Day, outcomes: Mapping[str, DayOutcome]) -> None:
    """The rate of requests over the day, and the replicas of each component under it."""
    components: Sequence[str] = list(day.before)
    figure = Figure(figsize=(8, 2 + 1.6 * len(components)), layout="constrained")
    above, *below = figure.subplots(1 + len(components), sharex=True)
    at_s = np.linspace(0, day.length_s, 2000)
    above.plot(_hours(day, at_s), day.rate(at_s), color="0.3")
    above.set_ylabel("responses/s")
    for component, axes in zip(components, below, strict=True):
        for name, found in outcomes.items():
            times = np.array([time for time, _ in found.course])
            counts = [replicas[component] for _, replicas in found.course]
            axes.step(_hours(day, times), counts, where="post", label=name, linewidth=1.2)
        axes.set_ylabel(f"replicas of {component}")
        axes.axvline(_hours(day, np.array(day.change_s)), color="0.7", linestyle=":")
    below[0].legend(frameon=False, fontsize=8)
    below[-1].set_xlabel("hour of the day (dotted: the weights change)")
    figure.savefig(path, dpi=110)


def _hours(day: Day, at_s: np.ndarray) -> np.ndarray:
    return day.begin_h + at_s / day.hour_s
