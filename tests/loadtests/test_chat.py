"""Locust's users, against a real router in front of simulated components."""

import asyncio
import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from blended.launch import unused
from tests.support import CLIENT_KEY, Rig, blend, rig

LOCUSTFILE = Path(__file__).parents[2] / "loadtests" / "chat.py"


COMMAND = (sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--headless")
LOAD = ("--users", "4", "--spawn-rate", "4", "--run-time", "3s", "--json")


async def started(
    *options: str, model: str = "", key: str = CLIENT_KEY
) -> asyncio.subprocess.Process:
    """Locust, with these options."""
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *options,
        env=os.environ | {"BLENDED_API_KEY": key, "BLENDED_MODEL": model},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int, dict[str, Any], str]:
    """The exit status, the statistics by name, and the log."""
    out, log = await asyncio.wait_for(process.communicate(), timeout=90)
    statistics = {entry["name"]: entry for entry in json.loads(out)}
    return int(process.returncode or 0), statistics, log.decode()


async def locust(url: str, *options: str, **named: str) -> tuple[int, dict[str, Any], str]:
    """Four users for some seconds."""
    return await ended(await started("--host", url, *LOAD, *options, **named))


def turns(front: Rig) -> dict[str, list[int]]:
    """The turns of each conversation, in the order of the router's records."""
    found = defaultdict(list)
    for record in front.records:
        found[record.conversation].append(record.turn)
    return found


async def test_users_hold_conversations_that_stream() -> None:
    """No request fails, conversations go on turn by turn, first tokens come before the last, and
    are told apart by turn and component."""
    async with rig(blend("a", "b", api={"reveal_component": True})) as front:
        status, statistics, log = await locust(front.url, "--run-time", "8s")

    assert status == 0, log
    chat, first = statistics["chat"], statistics["first token"]
    assert chat["num_requests"] == first["num_requests"] >= 4
    assert first["total_response_time"] < chat["total_response_time"]
    for names in (["turn 1", "turn 2 to 4", "turn 5 on"], ["a", "b"]):
        rows = [statistics.get(f"first token, {name}", {"num_requests": 0}) for name in names]
        assert rows[0]["num_requests"] > 0
        assert sum(row["num_requests"] for row in rows) == first["num_requests"]
    assert statistics["between tokens"]["num_requests"] > 0
    assert all(found == list(range(1, len(found) + 1)) for found in turns(front).values())
    assert any(len(found) > 1 for found in turns(front).values())


async def test_a_failure_is_counted_once_and_has_no_latency() -> None:
    """A model that is not there: every request fails, by the router's words."""
    async with rig(blend("a", "b")) as front:
        status, statistics, log = await locust(front.url, model="nobody")

    assert status == 1
    assert statistics["chat"]["num_failures"] == statistics["chat"]["num_requests"] > 0
    assert "first token" not in statistics
    assert "404: " in log


async def test_a_seed_decides_what_is_said() -> None:
    """One user alone holds the same conversations in two runs, and others with another seed."""
    options = ("--users", "1", "--spawn-rate", "1")
    said = []
    for seed in ("7", "7", "8"):
        async with rig(blend("a", "b")) as front:
            await locust(front.url, *options, "--seed", seed)
        said.append(next(record.conversation for record in front.records))

    assert said[0] == said[1] != said[2]


async def test_a_wrong_key_is_a_failure_that_says_so() -> None:
    """Nobody asks anything, and the exit status tells."""
    async with rig(blend("a", "b")) as front:
        status, statistics, log = await locust(front.url, key="wrong")

    assert status == 1
    assert "chat" not in statistics
    assert "401: " in log


async def test_a_service_level_decides_the_exit_status() -> None:
    """Kept or missed, it is said by how many responses."""
    async with rig(blend("a", "b")) as front:
        kept, _, said = await locust(front.url, "--first-token-ms", "5000")
        missed, _, told = await locust(front.url, "--first-token-ms", "0.001")

    assert kept == 0, said
    assert "100.00% of" in said
    assert missed == 1, told
    assert "0.00% of" in told


async def test_a_master_and_two_workers_share_the_users() -> None:
    """Both have joined; statistics and level are those of all; workers end with their master."""
    port = str(unused.port())
    async with rig(blend("a", "b")) as front:
        master = await started(
            *("--host", front.url, *LOAD, "--first-token-ms", "5000"),
            *("--master", "--master-bind-port", port, "--expect-workers", "2"),
        )
        workers = [
            await started("--worker", "--master-host", "127.0.0.1", "--master-port", port)
            for _ in range(2)
        ]
        status, statistics, said = await ended(master)
        logs = [await asyncio.wait_for(worker.communicate(), 60) for worker in workers]

    assert status == 0, said
    assert statistics["chat"]["num_requests"] > 0
    assert statistics["chat"]["num_failures"] == 0
    assert [worker.returncode for worker in workers] == [0, 0], logs
