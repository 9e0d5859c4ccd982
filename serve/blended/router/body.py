"""The body of a request, bounded, and what takes long with a large one."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request

from blended.errors import ApiError

T = TypeVar("T")

# From here on work on a body takes milliseconds, in which nobody else would be answered.
_LARGE_BYTES = 2**17
# One thread: several would keep the event loop waiting for Python's lock in turns.
_ASIDE = ThreadPoolExecutor(1, "large-bodies")


async def aside(size_bytes: int, work: Callable[[], T]) -> T:
    """What `work` on a body of this size returns; a large one is worked on in a thread."""
    if size_bytes < _LARGE_BYTES:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_ASIDE, work)


async def read(request: Request, limit: int) -> bytes:
    """All of a request's body.

    Raises:
        ApiError: 413, it is larger than `limit` bytes.
    """
    chunks: list[Any] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise ApiError(413, f"The body exceeds {limit} bytes; send a shorter history.")
        chunks.append(chunk)
    return b"".join(chunks)
