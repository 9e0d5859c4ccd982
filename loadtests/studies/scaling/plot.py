"""Throughput by replicas as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from loadtests.studies.scaling.simulated import MeasuredLevel, PredictedLevel, SimulatedFleet


def save(
    path: Path,
    rows: Sequence[MeasuredLevel],
    simulated: Sequence[tuple[SimulatedFleet, PredictedLevel]],
) -> None:
    """Responses per second by the capacity of all replicas, both on logarithmic axes."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    most = max(one.capacity for one, _ in simulated)
    axes.plot([5, most], [5, most], color="0.7", linewidth=1, label="linear")
    growing = [row for row in rows if row.places == rows[0].places]
    rest = [row for row in rows if row.places != rows[0].places]
    for some, colour, label in (
        (growing, "tab:blue", "measured: more replicas"),
        (rest, "tab:red", "measured: more places, until two cores end"),
    ):
        capacities, rates = [row.capacity for row in some], [row.per_s for row in some]
        axes.plot(capacities, rates, "o", color=colour, label=label)
    capacities, rates = (
        [one.capacity for one, _ in simulated],
        [found.per_s for _, found in simulated],
    )
    axes.plot(
        capacities, rates, "x", color="tab:green", label="in simulation, by the costs seen here"
    )
    for (one, _), capacity, rate in zip(simulated, capacities, rates, strict=True):
        count, place = f"{one.components * one.replicas}", (capacity, rate)
        axes.annotate(count, place, (0, 8), textcoords="offset points", ha="center", fontsize=8)
    axes.set(xscale="log", yscale="log", ylabel="responses per second")
    axes.set_xlabel("responses per second that the places of all replicas could give")
    axes.set_title("Throughput by replicas (numbers: replicas in simulation)", fontsize=11)
    axes.legend(frameon=False, fontsize=9)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
