"""Engines that share a GPU start one after another.

A starting vLLM takes everything that leaves the card's free memory meanwhile for its own, so that
of two that start at once each would have too little KV cache, or fail.
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from blended.folders import state_dir


def lock_file() -> Path:
    """The file by which the engines of this user and node wait for each other."""
    return state_dir() / "gpu-start.lock"


@asynccontextmanager
async def alone(path: Path) -> AsyncIterator[None]:
    """Wait until no other process of this node is in such a block.

    The kernel ends the block of a process that dies.
    """
    with path.open("w") as file:
        # A thread waits, so that Serve still hears from the replica.
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield
