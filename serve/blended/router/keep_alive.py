"""Comments that keep a stream's connection from looking idle until the response begins."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.types import Send

from blended.sse import KEEP_ALIVE


@dataclass
class KeepAlive:
    """Sends a comment every `period_s` seconds until the response begins; None sends none.

    `start` sends status and headers, `send` what follows. `has_started` tells whether it has begun.
    """

    period_s: float | None
    start: Callable[[], Awaitable[None]]
    send: Send
    has_started: bool = field(default=False, init=False)

    @asynccontextmanager
    async def until_left(self) -> AsyncIterator[None]:
        """Send comments while the block waits; once it is left, no comment follows."""
        if self.period_s is None:
            yield
            return
        sending: asyncio.Task[None] | None = None

        def begin() -> None:
            nonlocal sending
            sending = asyncio.create_task(self._send_comments())

        # Most responses begin long before: a timer costs less than a task.
        timer = asyncio.get_running_loop().call_later(self.period_s, begin)
        try:
            yield
        finally:
            timer.cancel()
            if sending is not None:
                sending.cancel()
                # If a comment could not be sent, the response cannot either, and says so.
                await asyncio.gather(sending, return_exceptions=True)

    async def _send_comments(self) -> None:
        assert self.period_s is not None, "there is a period where comments are sent"
        self.has_started = True
        await self.start()
        while True:
            await self.send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})
            await asyncio.sleep(self.period_s)
