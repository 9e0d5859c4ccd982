"""Unused ports, for servers that will take them a moment later.

All are below the ports for outgoing connections, any of which the system may use before the server
has started.
"""

import random
import socket

from blended.errors import LaunchError

_PORTS = range(20_000, 32_000)


def port() -> int:
    """An unused port."""
    return block(1).start


def block(size: int, besides: int | None = None) -> range:
    """Unused consecutive ports, at random, without `besides`.

    Raises:
        LaunchError: there are none.
    """
    starts = list(range(_PORTS.start, _PORTS.stop - size + 1, size))
    random.shuffle(starts)
    for start in starts:
        ports = range(start, start + size)
        if besides not in ports and all(_is_free(port) for port in ports):
            return ports
    raise LaunchError(f"No {size} free ports in a row from {_PORTS.start} on; stop other servers.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
