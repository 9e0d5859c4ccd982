"""Comments that keep a stream's connection from looking idle until the response begins."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.types import Send

from blended.sse import KEEP_ALIVE


@dataclass
class KeepAlive:
    """Sends a comment every `period_s` seconds from `begin` to `end`; None sends none.

    `start` sends status and headers, `send` what follows. `has_started` tells whether it has begun.
    """

    period_s: float | None
    start: Callable[[], Awaitable[None]]
    send: Send
    has_started: bool = field(default=False, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _sending: asyncio.Task[None] | None = field(default=None, init=False)

    def begin(self) -> None:
        """Send comments from now on."""
        if self.period_s is not None:
            # Most responses begin long before: a timer costs less than a task.
            self._timer = asyncio.get_running_loop().call_later(self.period_s, self._begin)

    async def end(self) -> None:
        """Send no more comments; once this returns, none is under way."""
        if self._timer is not None:
            self._timer.cancel()
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
            # If a comment could not be sent, the response cannot either, and says so.
            await asyncio.gather(sending, return_exceptions=True)

    def _begin(self) -> None:
        self._sending = asyncio.create_task(self._send_comments())

    async def _send_comments(self) -> None:
        assert self.period_s is not None, "there is a period where comments are sent"
        self.has_started = True
        await self.start()
        while True:
            await self.send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})
            await asyncio.sleep(self.period_s)
