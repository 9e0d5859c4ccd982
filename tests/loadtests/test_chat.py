"""Locust's users, against a real router in front of simulated components."""

import asyncio
import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.support import CLIENT_KEY, Rig, blend, rig

LOCUSTFILE = Path(__file__).parents[2] / "loadtests" / "chat.py"


async def locust(url: str, model: str = "") -> tuple[int, dict[str, Any], str]:
    """Four users for four seconds: the exit status, the statistics by name, and the log."""
    command = (
        *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--host", url),
        *("--headless", "--users", "4", "--spawn-rate", "4", "--run-time", "4s", "--json"),
    )
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | {"BLENDED_API_KEY": CLIENT_KEY, "BLENDED_MODEL": model},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, log = await asyncio.wait_for(process.communicate(), timeout=90)
    statistics = {entry["name"]: entry for entry in json.loads(out)}
    return int(process.returncode or 0), statistics, log.decode()


def turns(front: Rig) -> dict[str, list[int]]:
    """The turns of each conversation, in the order of the router's records."""
    found = defaultdict(list)
    for record in front.records:
        found[record.conversation].append(record.turn)
    return found


async def test_users_hold_conversations_that_stream() -> None:
    """No request fails, conversations go on turn by turn, first tokens come before the last."""
    async with rig(blend("a", "b")) as front:
        status, statistics, log = await locust(front.url)

    assert status == 0, log
    chat, first = statistics["chat"], statistics["first token"]
    assert chat["num_requests"] == first["num_requests"] > 4
    assert first["total_response_time"] < chat["total_response_time"]
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
