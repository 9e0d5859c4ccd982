"""Runs of Locust in processes of their own, and what is left of them."""

import asyncio
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blended.config import BlendConfig
from blended.launch import free_ports
from loadtests.users.arrivals import Arrival, poisson
from loadtests.users.people import load
from tests.support import CLIENT_KEY, Rig

ROOT = Path(__file__).parents[2]

COMMAND = (sys.executable, "-m", "locust", "--locustfile", str(ROOT / "loadtests" / "chat.py"))
LOAD = (
    *("--users", "4", "--spawn-rate", "4", "--run-time", "3s", "--json"),
    # How late Locust is on a machine that does other things too says nothing of these users.
    *("--client-lag-ms", "60000"),
)

Habits = Callable[..., str]

# So long a machine that does other things too may sleep over an event, in seconds.
TOO_LATE_S = 2.0


@dataclass(frozen=True)
class Run:
    """What is left of one: exit status, Locust's statistics by name, its own last line, the log."""

    status: int
    statistics: dict[str, Any]
    result: dict[str, Any]
    log: str


async def started(
    *options: str, model: str = "", key: str = CLIENT_KEY
) -> asyncio.subprocess.Process:
    """Locust without its web UI, with these options."""
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        "--headless",
        *options,
        cwd=ROOT,
        env=os.environ | {"BLENDED_API_KEY": key, "BLENDED_MODEL": model},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> Run:
    """Wait for the end of a Locust that prints its statistics as JSON."""
    out, log = await asyncio.wait_for(process.communicate(), timeout=90)
    printed = out.decode()
    rows, _ = json.JSONDecoder().raw_decode(printed)
    last = printed.splitlines()[-1]
    result = json.loads(last) if last.startswith("{") else {}
    return Run(int(process.returncode or 0), {r["name"]: r for r in rows}, result, log.decode())


def paced(tokens: int, ttft_ms: float = 0, itl_ms: float = 20) -> BlendConfig:
    """A blend of one component with exactly these times, for many responses at once."""
    simulation = {"ttft_ms": ttft_ms, "itl_ms": itl_ms, "tokens": tokens, "jitter": 0}
    component = {"id": "a", "kind": "simulated", "simulation": simulation | {"concurrency": 1000}}
    return BlendConfig.model_validate({"name": "blend", "components": [component]})


def arrivals(seconds: float, seed: int) -> list[Arrival]:
    """Those of eight conversations per second."""
    return list(poisson(load(), lambda at: 1.0, 8.0, seconds, seed, ["blend"]))


async def distributed(url: str, *options: str) -> tuple[Run, list[int | None]]:
    """A master and two workers; and the exit status of each worker."""
    port = str(free_ports.port())
    master = await started(
        *("--host", url, *LOAD, *options),
        *("--master", "--master-bind-port", port, "--expect-workers", "2"),
    )
    workers = [
        await started("--worker", "--master-host", "127.0.0.1", "--master-port", port)
        for _ in range(2)
    ]
    run = await ended(master)
    for worker in workers:
        await asyncio.wait_for(worker.communicate(), 60)
    return run, [worker.returncode for worker in workers]


async def locust(url: str, *options: str, **named: str) -> Run:
    """Four users for some seconds."""
    return await ended(await started("--host", url, *LOAD, *options, **named))


def turns(front: Rig) -> dict[str, list[int]]:
    """The turns of each conversation, in the order of the router's records."""
    found = defaultdict(list)
    for record in front.records:
        found[record.conversation].append(record.turn)
    return found


def hand_offs(front: Rig) -> list[str]:
    """For each response of the blend that follows another: whether its component is the same."""
    found, last = [], dict[tuple[str, int], str | None]()
    for record in front.records:
        before = last.get((record.conversation, record.turn - 1))
        last[record.conversation, record.turn] = record.component
        if record.model == "blend" and before:
            found.append("to itself" if record.component == before else "to another")
    return found
