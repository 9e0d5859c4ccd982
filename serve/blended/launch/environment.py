"""The environment that Ray has to start with, the same on every node of a cluster."""

from blended.internal import INTERNAL_PORT_ENV
from blended.launch.haproxy import BINARY_ENV

# HAProxy in front, bytes straight from the replica: the only mode that Blended runs in.
# A stream outlives a reload of HAProxy only for HARD_STOP_AFTER_S: as long as a replica may drain.
# A request whose replica dies before it answers goes to another one (RETRY_ON), unless its body is
# larger than HAProxy's buffer (BUFSIZE, bytes). HAProxy repeats only what it has read to the end
# before it passed it on, which takes an option that Ray has no variable for: RETRY_ON is written
# into HAProxy's configuration as it is, so that the option follows on a line of its own.
# A client that neither reads nor sends is left after TIMEOUT_CLIENT_S. A replica that hangs is out
# when it has missed two checks (HEALTH_CHECK_INTER). Serve asks every second whether HAProxy itself
# lives (PROXY_HEALTH_CHECK_PERIOD_S), and starts another one when it has missed three.
# Serve would keep a thousand lines of its logs back, a failure among them (LOG_BUFFER_SIZE).
# What a replica tells the controller at its start is 115 kB, of which Ray would keep all beyond 100
# on the replica's node: which would never be idle, and so never end before its drain time is over.
SERVE_ENV = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "1",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "900",
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response\n    option http-buffer-request",
    "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": "65536",
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "60",
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1500ms",
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "blended.middleware:middlewares",
    "RAY_max_direct_call_object_size": "1048576",
}

# Nothing is reported to anybody.
PRIVACY_ENV = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}

# Where the routers of a node reach its components, on nodes that have an address of their own.
INTERNAL_PORT = 8001


def haproxy_env(program: str, internal_port: int = INTERNAL_PORT) -> dict[str, str]:
    """HAProxy by way of `blended-haproxy`: its absolute path on the node, and the routers' port."""
    return {BINARY_ENV: program, INTERNAL_PORT_ENV: str(internal_port)}


def haproxy_files(folder: str) -> dict[str, str]:
    """HAProxy's files in a folder that is closed to other users."""
    files = {
        "CONFIG_FILE_LOC": "haproxy.cfg",
        "SOCKET_PATH": "admin.sock",
        "METRICS_SOCKET_PATH": "metrics.sock",
        "SERVER_STATE_FILE": "server-state",
    }
    named = {f"RAY_SERVE_HAPROXY_{name}": f"{folder}/{file}" for name, file in files.items()}
    return {**named, "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": folder}
