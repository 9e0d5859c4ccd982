"""One case over one TCP connection: what came back, and how it ended."""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass

from tests.fuzz.cases import Case, Target

_PIECE_BYTES = 512
_PAUSE_S = 0.005
# Small, so that a slow reader is felt by whoever sends.
_RECEIVE_BUFFER_BYTES = 4096


@dataclass(frozen=True)
class Exchange:
    """The bytes of the response, as many as were read.

    `hung` is a connection that neither answered nor closed within its time; `left` one that its
    client closed as the case wanted.
    """

    response: bytes
    hung: bool = False
    left: bool = False


async def run(target: Target, case: Case, limit_s: float) -> Exchange:
    """Play a case; takes `limit_s` at most.

    Raises:
        OSError: nobody listens.
    """
    with socket.socket() as raw:
        raw.setblocking(False)
        if case.client == "slow":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, (target.host, target.port))
        received = bytearray()
        sending = asyncio.create_task(_send(raw, case))
        try:
            async with asyncio.timeout(limit_s):
                left = await _receive(raw, case, received, sending)
        except TimeoutError:
            return Exchange(bytes(received), hung=True)
        finally:
            sending.cancel()
            await asyncio.wait({sending})
            if case.client == "resets":
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return Exchange(bytes(received), left=left)


async def _send(raw: socket.socket, case: Case) -> None:
    loop = asyncio.get_running_loop()
    # Whoever answers early may close before the whole request was sent.
    with contextlib.suppress(ConnectionError):
        if case.client == "trickles":
            step = len(case.request) // 20 + 1
            for start in range(0, len(case.request), step):
                await loop.sock_sendall(raw, case.request[start : start + step])
                await asyncio.sleep(4 * _PAUSE_S)
        else:
            await loop.sock_sendall(raw, case.request)
        if case.client == "half_closes":
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_WR)


async def _receive(
    raw: socket.socket, case: Case, received: bytearray, sending: "asyncio.Task[None]"
) -> bool:
    """Read until the end, or until the client leaves; returns whether it left."""
    leaves = case.client in ("leaves", "resets")
    if leaves and not case.reads_bytes:
        await asyncio.wait({sending})
        return True
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        while piece := await loop.sock_recv(raw, _PIECE_BYTES if case.client == "slow" else 65536):
            received += piece
            if leaves and len(received) >= case.reads_bytes:
                return True
            if case.client == "slow":
                await asyncio.sleep(_PAUSE_S)
    return False
