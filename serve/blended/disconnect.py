"""Work on behalf of a client that ends when the client leaves."""

import asyncio
from collections.abc import Coroutine

from starlette.types import Receive


async def finishes_before_disconnect(work: Coroutine[None, None, None], receive: Receive) -> bool:
    """Run `work` until it is done or the client has left, whichever is first.

    Returns whether it finished; what it raised is raised here. Work that the client did not wait
    for is cancelled, and has ended when this returns.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        task.cancel()  # without effect on a task that is done
        await asyncio.wait({task})
    if task.cancelled():
        return False
    task.result()
    return True


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
