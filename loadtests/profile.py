"""What one replica of a component can do: python -m loadtests.profile COMPONENT --blend FILE

Starts the blend with that component alone, one replica and one router, and asks it with one
client, two, four, … at once, each sending its next request when its response has ended (a closed
loop), with prompts of two lengths that no cache knows. The last line is the profile, which
`cluster.plan` reads from `loadtests/profiles/COMPONENT.json`, or `--out`.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import aiohttp

from blended.config import BlendConfig
from blended.errors import BlendedError, ConfigError
from blended.loading import load
from cluster.profiles import FOLDER, Point, Profile, Times, served
from loadtests.bench.blends import package_version, up, vllm_version
from loadtests.bench.machine import machine
from loadtests.bench.processes import Unavailable
from loadtests.bench.targets import Place
from loadtests.figures import percentile

_WORDS = (
    "sun",
    "rain",
    "tea",
    "music",
    "work",
    "dreams",
    "summer",
    "home",
    "books",
    "cats",
    "bread",
)
_TIMEOUT_S = 300.0
# The client shares the machine: beyond this share of a CPU its own delays would be measured.
_BUSIEST_CLIENT = 0.7


@dataclass(frozen=True)
class Response:
    """One response that ended: seconds to the first token and to the last, and tokens."""

    first_s: float
    last_s: float
    prompt: int
    tokens: int


class Failed(Exception):
    """A response that did not come to its end, or a client that was too slow to tell."""


async def ask(
    http: aiohttp.ClientSession, url: str, model: str, words: int, tokens: int
) -> Response:
    """One streamed response to a prompt that begins like no other.

    Raises:
        Failed: it did not come to its end.
    """
    text = " ".join([str(random.getrandbits(48)), *random.choices(_WORDS, k=words)])
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": tokens,
        "min_tokens": tokens,
    }
    began, first, last, usage = time.perf_counter(), 0.0, 0.0, dict[str, int]()
    async with http.post(url, json=body) as response:
        if response.status != 200:
            raise Failed(f"{response.status}: {(await response.text())[:200]}")
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if "error" in event:
                raise Failed(event["error"]["message"])
            usage = event.get("usage") or usage
            if any(choice["delta"].get("content") for choice in event["choices"]):
                last = time.perf_counter() - began
                first = first or last
    if not usage or not first:
        raise Failed("a response ended without tokens, or did not say how many it had")
    return Response(first, last, usage["prompt_tokens"], usage["completion_tokens"])


async def point(job: argparse.Namespace, target: dict[str, Any], clients: int, words: int) -> Point:
    """So many clients, for some seconds and some responses, after a first response of each.

    Raises:
        Failed: a response did not come to its end, or this process was the bottleneck.
    """
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        headers=target["headers"], timeout=timeout, connector=connector
    ) as http:

        async def one() -> Response:
            return await ask(http, target["url"], job.component, words, job.response)

        await asyncio.gather(*(one() for _ in range(clients)))
        began, busy = time.perf_counter(), time.process_time()
        until = began + job.seconds

        async def client() -> list[Response]:
            found = [await one()]
            while time.perf_counter() < until or len(found) * clients < job.responses:
                found.append(await one())
            return found

        found = [r for rs in await asyncio.gather(*(client() for _ in range(clients))) for r in rs]
    took = time.perf_counter() - began
    if (share := (time.process_time() - busy) / took) > _BUSIEST_CLIENT:
        raise Failed(f"the client itself took {share:.0%} of a CPU; measure with fewer at once")
    return summarise(found, clients, took)


def summarise(found: Sequence[Response], clients: int, took_s: float) -> Point:
    """The figures of the responses at one level of load."""
    return Point(
        running=clients,
        prompt=fmean(r.prompt for r in found),
        response=fmean(r.tokens for r in found),
        responses=len(found),
        ttft_s=_times([r.first_s for r in found]),
        itl_s=_times([(r.last_s - r.first_s) / (r.tokens - 1) for r in found if r.tokens > 1]),
        per_s=len(found) / took_s,
    )


def alone(blend: BlendConfig, component: str, most: int) -> dict[str, Any]:
    """The blend as data, with one component of one replica, which refuses nobody.

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
        Failed: a response did not come to its end.
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
        component=job.component, made_by=_made_by(), serves=served(component), points=tuple(points)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns the exit status: 1 if a response failed, 2 if nothing could be started."""
    job = _options(arguments)
    random.seed(job.seed)
    try:
        found = measure(job)
    except Failed as exc:
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


def _shown(found: Point) -> str:
    return (
        f"prompt {found.prompt:.0f}, {found.per_s:.2f} responses/s, first token "
        f"{1e3 * found.ttft_s.mean:.1f} ms (p99 {1e3 * found.ttft_s.p99:.1f}), between tokens "
        f"{1e3 * found.itl_s.mean:.2f} ms (p99 {1e3 * found.itl_s.p99:.2f})"
    )


def _made_by() -> dict[str, str]:
    return {
        "command": " ".join(["python -m loadtests.profile", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "load_average": f"{os.getloadavg()[0]:.1f}",
        **{name: str(value) for name, value in machine().items()},
        "blended": package_version(),
        "ray": version("ray"),
        "vllm": vllm_version(),
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.profile", description=__doc__)
    add = parser.add_argument
    add("component", help="its id in the blend")
    add("--blend", default="demo", help="a preset's name, or a file")
    add("--clients", type=_counts, default=[1, 2, 4, 8, 16, 32], help="at once: 1,2,4,…")
    add("--words", type=_counts, default=[20, 150], help="of the prompts: two lengths or more")
    add("--response", type=int, default=64, help="tokens of a response")
    add("--seconds", type=float, default=10, help="for each level and length, at least")
    add("--responses", type=int, default=100, help="for each level and length, at least")
    add("--seed", type=int, default=1)
    add("--out", type=Path, help="the file (loadtests/profiles/COMPONENT.json)")
    return parser.parse_args(arguments)


def _counts(text: str) -> list[int]:
    return [int(count) for count in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
