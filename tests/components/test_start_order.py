"""Engines that share a GPU start one after another."""

import asyncio
import multiprocessing
import os
import signal
from pathlib import Path

from blended.components.start_order import alone


async def test_one_engine_starts_at_a_time(tmp_path: Path) -> None:
    """Three at once: none begins before the one before it has ended."""
    events: list[str] = []

    async def start(name: str) -> None:
        async with alone(tmp_path / "lock"):
            events.append(f"{name} begins")
            await asyncio.sleep(0)
            events.append(f"{name} ends")

    await asyncio.gather(*(start(name) for name in "abc"))

    assert len(events) == 6
    for begins, ends in zip(events[::2], events[1::2], strict=True):
        assert begins.split()[0] == ends.split()[0]


def _die(path: Path) -> None:
    async def start() -> None:
        async with alone(path):
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(start())


async def test_an_engine_that_dies_keeps_nobody_waiting(tmp_path: Path) -> None:
    """The kernel lets the next one start."""
    process = multiprocessing.get_context("spawn").Process(target=_die, args=(tmp_path / "lock",))
    process.start()
    await asyncio.to_thread(process.join, 60)

    async with asyncio.timeout(60), alone(tmp_path / "lock"):
        pass
    assert process.exitcode != 0
