"""Work on behalf of a client that ends when the client leaves."""

import asyncio
from collections.abc import Coroutine

from starlette.types import Receive


async def finishes_before_disconnect(work: Coroutine[None, None, None], receive: Receive) -> bool:
    """Run `work` until it is done or the client has left, whichever is first.

    Returns whether it finished; what it raised is raised here. Work that the client did not wait
    for is cancelled, and has ended when this returns.
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
        # As in asyncio.timeout: only the cancellation that was asked for here ends here.
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
