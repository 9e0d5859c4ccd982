"""How throughput grows with replicas: python -m loadtests.studies.scaling

Three simulated components, with 1, 2, 4, 8 and 16 replicas each and the routers that a plan gives
them, are kept full by clients that send their next request when their response has ended (a closed
loop). Then the largest number of replicas gets more places, until this machine is full. Everything
shares this machine, also the clients. From the CPU time of routers, proxies and Serve's controller
a simulation (`loadtests.studies.scaling.simulated`) extrapolates to 1,000 replicas. The last line
is JSON; the exit status is 1 if the measured growth is more than 5 % away from linear.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import rich
from rich.table import Table

from blended.errors import BlendedError
from cluster.capacity.planning import Demand, routers
from cluster.capacity.queueing import Lengths, ServiceLevel
from loadtests.harness.load_generator import Job, apart, text
from loadtests.harness.processes import Unavailable, role_in_blend, spent_ms, usage
from loadtests.harness.provenance import made_by
from loadtests.harness.start import apply, up
from loadtests.harness.targets import Place
from loadtests.studies.scaling import plot
from loadtests.studies.scaling.simulated import (
    MeasuredLevel,
    PredictedLevel,
    SimulatedFleet,
    line,
    simulate,
)

_COMPONENTS = 3
_TOKENS, _TTFT_S, _ITL_S = 20, 0.1, 0.1
# More clients than places, so that no place stays empty between two requests of a client.
_CROWD = 1.25
_WARM_UP_S = 3.0
_LINEAR = 0.05
ROLES = ("router", "haproxy", "component", "controller")
_PAPER = (1, 2, 4, 8, 33, 100, 333)
_PAPER_S = 12.0


def site(replicas: int, places: int, router_s: float = 0.0) -> SimulatedFleet:
    """A number of replicas of each component, and the planned number of routers."""
    bare = SimulatedFleet(_COMPONENTS, replicas, places, 1, _TOKENS, _TTFT_S, _ITL_S, router_s)
    level = ServiceLevel(ttft_s=1, itl_s=1)
    demand = Demand((bare.capacity,), Lengths(prompt=20, response=_TOKENS), level)
    return SimulatedFleet(**asdict(bare) | {"routers": routers(demand)})


def blend(wanted: SimulatedFleet) -> dict[str, Any]:
    """The blend of a site, as data."""
    simulation = {"ttft_ms": 1e3 * wanted.ttft_s, "itl_ms": 1e3 * wanted.itl_s}
    simulation |= {"tokens": 100_000, "jitter": 0, "cpus": 0.01, "concurrency": wanted.places}
    replicas = {"min": wanted.replicas, "max": wanted.replicas}
    limits = {"target_ongoing_requests": wanted.places, "max_ongoing_requests": wanted.places}
    limits |= {"max_queued_requests": 2}
    components = [
        {
            "id": f"c{number}",
            "kind": "simulated",
            "simulation": simulation,
            "replicas": replicas | limits,
        }
        for number in range(wanted.components)
    ]
    router = {"cpus": 0.01, "replicas": {"min": wanted.routers, "max": wanted.routers}}
    return {"name": "scaled", "components": components, "router": router}


def measure(target: Mapping[str, Any], wanted: SimulatedFleet, seconds: float) -> MeasuredLevel:
    """Keep a site full for some seconds."""
    clients = round(_CROWD * wanted.components * wanted.replicas * wanted.places)
    load_average = os.getloadavg()[0]
    apart(_job(target, wanted, clients, _WARM_UP_S))
    psutil.cpu_percent()
    before = usage(target["processes"](), _role)
    sample = apart(_job(target, wanted, clients, seconds))
    spent = spent_ms(before, usage(target["processes"](), _role))
    took_s = sample.responses / sample.per_s
    return MeasuredLevel(
        replicas=wanted.replicas,
        places=wanted.places,
        routers=wanted.routers,
        clients=clients,
        capacity=wanted.capacity,
        responses=sample.responses,
        refused=sample.failures,
        per_s=sample.full_per_s,
        cpus={role: ms / 1e3 / took_s for role, ms in sorted(spent.items())},
        machine_busy=psutil.cpu_percent() / 100,
        load_average=load_average,
    )


def measured(job: argparse.Namespace) -> list[MeasuredLevel]:
    """All levels: replicas first, then places.

    Raises:
        Unavailable: the blend did not start, or did not change.
    """
    levels = [(count, job.places) for count in job.replicas]
    levels += [(max(job.replicas), places) for places in job.more_places]
    rows, target = list[MeasuredLevel](), dict[str, Any]()
    with ExitStack() as stack:
        place = Place(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scaling-"))), {})
        for count, places in levels:
            wanted = site(count, places)
            if target:
                apply(blend(wanted), place)
            else:
                target = up(blend(wanted), place, stack)
            rows.append(measure(target, wanted, job.seconds))
            print(rows[-1], file=sys.stderr)
    return rows


def extrapolated(
    rows: Sequence[MeasuredLevel], places: int, seed: int
) -> list[tuple[SimulatedFleet, PredictedLevel]]:
    """The same levels, and more, with the router's CPU time per response at the highest level.

    With fewer running responses a router wakes up for single tokens, which costs more per token.
    """
    busiest = max(rows, key=lambda row: row.per_s)
    router_s = busiest.cpus["router"] / busiest.per_s
    sites = [site(count, places, router_s) for count in _PAPER]
    return [(one, simulate(one, _PAPER_S, random.Random(seed))) for one in sites]


def linearity(rows: Sequence[MeasuredLevel]) -> float:
    """The largest difference, as a share, from the first row's responses per second and place."""
    first = rows[0]
    each = first.per_s / (first.replicas * first.places)
    return max(abs(row.per_s / (row.replicas * row.places) / each - 1) for row in rows)


def table(rows: Sequence[MeasuredLevel]) -> Table:
    """The measurements as text."""
    view = Table(title="Measured: responses per second, and CPUs by role")
    for name in ("replicas", "places", "routers", "per s", "possible", *ROLES, "machine"):
        view.add_column(name, justify="right")
    for row in rows:
        view.add_row(
            f"{_COMPONENTS} x {row.replicas}",
            str(row.places),
            str(row.routers),
            f"{row.per_s:.1f}",
            f"{row.per_s / row.capacity:.1%}",
            *(f"{row.cpus.get(role, 0):.2f}" for role in ROLES),
            f"{row.machine_busy:.0%}",
        )
    return view


def simulated_table(
    found: Sequence[tuple[SimulatedFleet, PredictedLevel]],
    controller: tuple[float, float],
    haproxy_s: float,
) -> Table:
    """The simulation as text."""
    view = Table(title="ON PAPER, with the costs measured above")
    for name in ("replicas", "routers", "per s", "possible", "router busy", "wait p99"):
        view.add_column(name, justify="right")
    for name in ("haproxy", "controller"):
        view.add_column(name, justify="right")
    base, each = controller
    for one, result in found:
        replicas = one.components * one.replicas + one.routers
        view.add_row(
            f"{one.components} x {one.replicas}",
            str(one.routers),
            f"{result.per_s:.1f}",
            f"{result.per_s / one.capacity:.1%}",
            f"{result.router_busy:.0%}",
            f"{1e3 * result.wait_p99_s:.2f} ms",
            f"{haproxy_s * result.per_s:.2f}",
            f"{base + each * replicas:.2f}",
        )
    return view


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and simulate; returns the exit status: 1 if it is not linear, 2 without a result."""
    job = _options(arguments)
    try:
        rows = measured(job)
    except (BlendedError, Unavailable) as exc:
        print(exc, file=sys.stderr)
        return 2
    growing = [row for row in rows if row.places == job.places]
    controller = line(
        [_COMPONENTS * row.replicas + row.routers for row in growing],
        [row.cpus["controller"] for row in growing],
    )
    busiest = max(rows, key=lambda row: row.per_s)
    simulated, off = extrapolated(rows, job.places, job.seed), linearity(growing)
    rich.print(table(rows))
    rich.print(simulated_table(simulated, controller, busiest.cpus["haproxy"] / busiest.per_s))
    if job.plot:
        plot.save(job.plot, rows, simulated)
    result = {
        "made_by": made_by("loadtests.studies.scaling"),
        "measured": [asdict(row) for row in rows],
        "off_linear": off,
        "controller_cpus": {"base": controller[0], "per_replica": controller[1]},
        "simulated": [asdict(one) | asdict(found) for one, found in simulated],
    }
    print(json.dumps(result))
    return 0 if off <= _LINEAR else 1


def _job(target: Mapping[str, Any], wanted: SimulatedFleet, clients: int, seconds: float) -> Job:
    url = urlsplit(target["url"])
    message = {"role": "user", "content": text("paced")}
    return Job(
        host=url.hostname or "",
        port=url.port or 80,
        path=url.path,
        headers=target["headers"],
        body={"model": "scaled", "messages": [message], "max_tokens": _TOKENS, "stream": True},
        clients=clients,
        seconds=seconds,
        stagger_s=wanted.response_s,
        token=" simulated",
        min_tokens=1,
    )


def _role(title: str) -> str:
    return "controller" if "ServeController" in title else role_in_blend(title)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.studies.scaling", description=__doc__
    )
    add = parser.add_argument
    add("--replicas", type=_counts, default=[1, 2, 4, 8, 16], help="of each component: 1,2,4,…")
    add("--places", type=int, default=4, help="of each replica")
    add("--more-places", type=_counts, default=[8], help="then, of the most replicas")
    add("--seconds", type=float, default=30, help="for each level")
    add("--seed", type=int, default=1)
    add("--plot", type=Path, help="a PNG file: measured and simulated")
    return parser.parse_args(arguments)


def _counts(values: str) -> list[int]:
    return [int(value) for value in values.split(",")]


if __name__ == "__main__":
    sys.exit(main())
