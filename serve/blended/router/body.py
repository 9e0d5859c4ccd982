"""Reads a request's body up to a limit, and runs slow work on large bodies in a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request

from blended.errors import ApiError

T = TypeVar("T")

# Work on larger bodies takes milliseconds, during which no other request would be answered.
_LARGE_BYTES = 2**17
# One thread: with several, the event loop would wait for Python's lock in turns.
_ASIDE = ThreadPoolExecutor(1, "large-bodies")


async def aside(size_bytes: int, work: Callable[[], T]) -> T:
    """The result of `work` on a body of this size; for a large body it runs in a thread."""
    if size_bytes < _LARGE_BYTES:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_ASIDE, work)


async def read(request: Request, limit: int) -> bytes:
    """Read a request's whole body.

    Raises:
        ApiError: 413, the body is larger than `limit` bytes, or 415, it is compressed.
    """
    _refuse_compressed(request)
    chunks: list[Any] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise ApiError(413, f"The body exceeds {limit} bytes; send a shorter history.")
        chunks.append(chunk)
    return b"".join(chunks)


def _refuse_compressed(request: Request) -> None:
    # Decoding would take the event loop's time, and bodies are texts of some kilobytes.
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() not in ("", "identity"):
        message = f"The body has the Content-Encoding '{coding[:80]}'; send it uncompressed."
        error = ApiError(415, message, "unsupported_content_encoding")
        error.headers = {"Accept-Encoding": "identity"}
        raise error
