"""Work for a client, cancelled when the client disconnects."""

import asyncio
from collections.abc import Coroutine

from starlette.types import Receive


async def finishes_before_disconnect(work: Coroutine[None, None, None], receive: Receive) -> bool:
    """Run `work` until it is done or the client disconnects.

    Returns whether the work finished, and raises what the work raises. When the client disconnects
    first, the work is cancelled and has ended when this returns.
    """
    task, left = asyncio.current_task(), False
    assert task is not None, "requests are served in tasks"

    def leave(_: object) -> None:
        nonlocal left
        left = True
        task.cancel()

    already_cancelled = task.cancelling()
    gone = asyncio.ensure_future(_disconnected(receive))
    gone.add_done_callback(leave)
    try:
        await work
    except asyncio.CancelledError:
        # As in asyncio.timeout: suppress only the cancellation that this function requested.
        if not left or task.uncancel() > already_cancelled:
            raise
        return False
    finally:
        gone.remove_done_callback(leave)
        gone.cancel()
    return True


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
