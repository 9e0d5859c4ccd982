"""Ports for servers that are started later, by this project or by Ray."""

import socket
from pathlib import Path

import pytest

from blended.errors import LaunchError
from blended.launch import free_ports


def test_no_port_is_one_that_an_outgoing_connection_may_take() -> None:
    """All ports lie below the range from which the system takes those of its connections."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(free_ports.port() < first for _ in range(100))


def test_a_block_holds_no_port_that_is_used_or_set_aside() -> None:
    """With one port listened on and one set aside, half of the range at once holds neither."""
    used = free_ports.port()
    with socket.socket() as server:
        server.bind(("0.0.0.0", used))
        server.listen()
        half = 6_000
        aside = used + half if used < 26_000 else used - half
        with pytest.raises(LaunchError, match="6000 free ports in a row"):
            free_ports.block(half, besides=aside)
