"""The body of a request, bounded."""

from typing import Any

from starlette.requests import Request

from blended.errors import ApiError


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
