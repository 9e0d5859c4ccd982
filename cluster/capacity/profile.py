"""What one replica of a component can do: python -m cluster.capacity.profile COMPONENT --blend FILE

Starts the blend with that component alone, one replica and one router. One client, then two, four,
… clients send requests, each its next one when its response has ended (a closed loop). Prompts have
two lengths and are in no cache. The last line of the output is the profile, which
`cluster.capacity.plan` reads from `cluster/capacity/profiles/COMPONENT.json`, or `--out`.

`reward` in place of a component measures the reward model: requests with the texts of `--best-of`
candidates. A component needs no other profile for them: its candidates are responses at once.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from typing import Any

from blended.config import BlendConfig
from blended.config.loading import load
from blended.errors import BlendedError, ConfigError
from blended.internal import REWARD
from cluster.capacity import reward_profile
from cluster.capacity.profile_files import FOLDER, LoadLevel, Profile, Times, served
from cluster.capacity.reward_profile import RewardProfile
from loadtests.harness.percentiles import percentile
from loadtests.harness.processes import Unavailable
from loadtests.harness.provenance import made_by
from loadtests.harness.start import up
from loadtests.harness.targets import Place
from loadtests.harness.timed_client import MeasurementFailed, TimedResponse, ask, session

# The client shares the machine: beyond this share of a CPU its own delays would be measured.
_BUSIEST_CLIENT = 0.7


async def point(
    job: argparse.Namespace,
    target: dict[str, Any],
    clients: int,
    words: int,
    cpu_s: Callable[[], float] = time.process_time,
) -> LoadLevel:
    """Measure concurrent clients for some seconds and responses, after one response of each.

    `cpu_s` returns the CPU seconds of this process.

    Raises:
        MeasurementFailed: a response did not come to its end, or this process was the bottleneck.
    """
    async with session(target["headers"]) as http:

        async def one() -> TimedResponse:
            return await ask(http, target["url"], job.component, words, job.response)

        await asyncio.gather(*(one() for _ in range(clients)))
        began, busy = time.perf_counter(), cpu_s()
        until = began + job.seconds

        async def client() -> list[TimedResponse]:
            found = [await one()]
            while time.perf_counter() < until or len(found) * clients < job.responses:
                found.append(await one())
            return found

        found = [r for rs in await asyncio.gather(*(client() for _ in range(clients))) for r in rs]
    took = time.perf_counter() - began
    if (share := (cpu_s() - busy) / took) > _BUSIEST_CLIENT:
        raise MeasurementFailed(
            f"the client itself took {share:.0%} of a CPU; measure with fewer at once"
        )
    return summarise(found, clients, took)


def summarise(found: Sequence[TimedResponse], clients: int, took_s: float) -> LoadLevel:
    """The figures of the responses at one level of load."""
    return LoadLevel(
        running=clients,
        prompt=fmean(r.prompt for r in found),
        response=fmean(r.tokens for r in found),
        responses=len(found),
        ttft_s=_times([r.first_s for r in found]),
        itl_s=_times([r.itl_s for r in found if r.tokens > 1]),
        per_s=len(found) / took_s,
    )


def alone(blend: BlendConfig, component: str, most: int) -> dict[str, Any]:
    """The blend as data, with one component of one replica, which refuses no request.

    Raises:
        ConfigError: there is no such component, or it is not served here.
    """
    found = next((c for c in blend.components if c.id == component), None)
    if found is None:
        ids = ", ".join(c.id for c in blend.components)
        raise ConfigError(f"There is no component '{component}'; there are {ids}.")
    served(found)
    replicas = {"min": 1, "max": 1, "target_ongoing_requests": most}
    replicas |= {"max_ongoing_requests": most, "max_queued_requests": most}
    data = found.model_dump(mode="json", exclude_none=True) | {"replicas": replicas}
    router = {"cpus": blend.router.cpus, "replicas": {"min": 1, "max": 1}}
    journal = {"enabled": False}
    return {"name": "profiled", "components": [data], "router": router, "journal": journal}


def measure(job: argparse.Namespace) -> Profile:
    """Start the component, and measure every level with every length, in a random order.

    Raises:
        ConfigError: there is no such component.
        Unavailable: it does not start.
        MeasurementFailed: a response did not come to its end.
    """
    blend = load(job.blend)
    data = alone(blend, job.component, max(job.clients))
    component = next(c for c in blend.components if c.id == job.component)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="profile-")))
        target = up(data, Place(folder, {}), stack)
        levels = [(clients, words) for clients in job.clients for words in job.words]
        random.shuffle(levels)
        points = []
        for clients, words in levels:
            points.append(asyncio.run(point(job, target, clients, words)))
            print(f"{clients:4} at once: {_shown(points[-1])}", file=sys.stderr)
    points.sort(key=lambda p: (p.running, p.prompt))
    return Profile(
        component=job.component,
        made_by=made_by("cluster.capacity.profile"),
        serves=served(component),
        points=tuple(points),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns the exit status: 1 if a response failed, 2 if nothing could be started."""
    job = _options(arguments)
    random.seed(job.seed)
    try:
        found: Profile | RewardProfile
        found = reward_profile.measure(job) if job.component == REWARD else measure(job)
    except MeasurementFailed as exc:
        print(f"Not measured: {exc}", file=sys.stderr)
        return 1
    except (BlendedError, Unavailable) as exc:
        print(exc, file=sys.stderr)
        return 2
    out = job.out or FOLDER / f"{job.component}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found.model_dump(mode="json"), indent=1) + "\n")
    print(json.dumps(found.model_dump(mode="json")))
    return 0


def _times(values: Sequence[float]) -> Times:
    return Times(mean=fmean(values), p99=percentile(sorted(values), 0.99))


def _shown(found: LoadLevel) -> str:
    return (
        f"prompt {found.prompt:.0f}, {found.per_s:.2f} responses/s, first token "
        f"{1e3 * found.ttft_s.mean:.1f} ms (p99 {1e3 * found.ttft_s.p99:.1f}), between tokens "
        f"{1e3 * found.itl_s.mean:.2f} ms (p99 {1e3 * found.itl_s.p99:.2f})"
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cluster.capacity.profile", description=__doc__)
    add = parser.add_argument
    add("component", help="its id in the blend, or reward")
    add("--blend", default="demo", help="a preset's name, or a file")
    add("--clients", type=_counts, default=[1, 2, 4, 8, 16, 32], help="at once: 1,2,4,…")
    add("--words", type=_counts, default=[20, 150], help="of the prompts: two lengths or more")
    add("--response", type=int, default=64, help="tokens of a response")
    add("--best-of", type=int, default=4, help="candidates of a response, for the reward model")
    add("--seconds", type=float, default=10, help="for each level and length, at least")
    add("--responses", type=int, default=100, help="for each level and length, at least")
    add("--seed", type=int, default=1)
    add("--out", type=Path, help="the file (cluster/capacity/profiles/COMPONENT.json)")
    return parser.parse_args(arguments)


def _counts(text: str) -> list[int]:
    return [int(count) for count in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
