"""A plan over 24 hours as a picture: the rate of responses, and the replicas of each component."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from blended.experiments.plot_style import COLOURS, GREY, INK, STYLE
from cluster.capacity.planning import CapacityPlan

_HOURS = 24
# Components with equal numbers would hide each other.
_APART = 0.06
_LINES = ("-", "--", "-.", ":")


def save(path: Path, blend: str, rates: Sequence[float], found: CapacityPlan) -> None:
    """Write the picture of a plan for `rates`, the responses per second of each hour.

    Raises:
        OSError: the file cannot be written.
        ValueError: the ending of its name is that of no picture.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.6))
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
        _rate(above, rates)
        above.set_title(f"{blend}: responses per second")
        _replicas(below, found)
        cards = f", {found.gpus} GPUs at the peak" if found.gpus else ""
        below.set_title(f"Replicas, as planned{cards}")
        below.set(xlabel="Hour of the day", xlim=(0, _HOURS), xticks=range(0, _HOURS + 1, 3))
        predicted = "; profiles predicted, not measured" if found.predicted else ""
        figure.supxlabel(
            f"Computed from profiles of one replica{predicted}", fontsize=8, color=GREY
        )
        # The date would make another file each time.
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=130, metadata=metadata)


def _rate(axes: Axes, rates: Sequence[float]) -> None:
    axes.stairs(rates, range(_HOURS + 1), color=INK, fill=True, alpha=0.15)
    axes.stairs(rates, range(_HOURS + 1), color=INK, linewidth=1.5, baseline=None)
    axes.set_ylim(0, 1.15 * max(rates))


def _replicas(axes: Axes, found: CapacityPlan) -> None:
    looks = zip(cycle(COLOURS), cycle(_LINES))
    count = len(found.components)
    for place, ((name, component), (colour, line)) in enumerate(
        zip(found.components.items(), looks, strict=False)
    ):
        shift = _APART * (place - (count - 1) / 2)
        moved = [replicas + shift for replicas in component.hourly]
        label = f"{name}, {min(component.hourly)} to {max(component.hourly)}"
        axes.stairs(
            moved,
            range(_HOURS + 1),
            color=colour,
            linestyle=line,
            linewidth=1.8,
            label=label,
            baseline=None,
        )
    axes.set_ylim(0, 1.15 * max(max(c.hourly) for c in found.components.values()))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(ncols=min(3, count), loc="upper left", fontsize=8.5)
