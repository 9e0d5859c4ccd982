"""A router that is killed at any moment has on the disk all that is older than a second."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.journal.databases import kept
from tests.journal.journals import database, journal
from tests.support import CLIENT_KEY, HELLO, eventually

CLIENTS, LEAST_S, MOST_S = 8, 0.3, 2.0


@contextmanager
def router(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A router's process and its address."""
    command = [sys.executable, "-m", "tests.journal.router_process", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


async def load(url: str, seen: dict[str, float]) -> None:
    """Ask on and on until the router is gone; notes when each response's end was seen, by id."""
    headers = {"Authorization": f"Bearer {CLIENT_KEY}"}
    body = {"model": "blend", "messages": HELLO}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=5) as client:
        while True:
            try:
                response = await client.post("/v1/chat/completions", json=body)
            except httpx.TransportError:
                return
            seen[response.json()["id"]] = time.monotonic()


async def until_ended(
    folder: Path, after_s: float, how: signal.Signals
) -> tuple[dict[str, float], float]:
    """What clients saw of a router that is sent a signal after a time, and when it was sent."""
    seen = dict[str, float]()
    with router(folder) as (process, url):
        clients = [asyncio.create_task(load(url, seen)) for _ in range(CLIENTS)]
        await eventually(lambda: bool(seen), timeout_s=60)
        await asyncio.sleep(after_s)
        process.send_signal(how)
        sent_at = time.monotonic()
        await asyncio.gather(*clients)
        await asyncio.to_thread(process.wait, 20)
    return seen, sent_at


def writers(spool: Path) -> list[Path]:
    """The folders of a spool: the heir's own, and those that it has not adopted yet."""
    return [path for path in spool.iterdir() if path.is_dir()]


async def flush_what_is_left(folder: Path) -> set[str]:
    """The ids that the database holds once another writer has adopted the spool."""
    with journal(folder) as heir:
        await eventually(lambda: len(writers(folder / "spool")) == 1, timeout_s=30)
        await eventually(lambda: heir.status().bytes == 0, timeout_s=30)
    return {row.response_id for row in kept(database(folder))}


@pytest.mark.parametrize("seed", range(5))
async def test_a_killed_router_loses_at_most_its_last_second(tmp_path: Path, seed: int) -> None:
    """SIGKILL at a random moment under load: every response seen a second before is there."""
    after_s = random.Random(seed).uniform(LEAST_S, MOST_S)
    seen, killed_at = await until_ended(tmp_path, after_s, signal.SIGKILL)

    kept = await flush_what_is_left(tmp_path)
    lost = [killed_at - ended_at for name, ended_at in seen.items() if name not in kept]
    print({"seen": len(seen), "lost": len(lost), "oldest_lost_s": max(lost, default=0.0)})
    assert seen
    assert max(lost, default=0.0) <= 1.0
    assert not (tmp_path / "spool" / "rejected.jsonl").exists()


async def test_a_router_that_is_told_to_end_loses_nothing(tmp_path: Path) -> None:
    """SIGTERM under load: every response that a client saw is in the database."""
    seen, _ = await until_ended(tmp_path, 1.0, signal.SIGTERM)

    assert seen
    assert seen.keys() <= await flush_what_is_left(tmp_path)
