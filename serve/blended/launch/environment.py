"""The environment variables of Ray, the same on every node of a cluster."""

from blended.internal import INTERNAL_PORT_ENV
from blended.launch.haproxy import BINARY_ENV

# Blended runs only in this mode: HAProxy in front, and bytes directly from the replica. A stream
# survives a reload of HAProxy only for HARD_STOP_AFTER_S, the longest time in which a replica may
# drain. If a replica dies before it answers, its request goes to another one (RETRY_ON), unless the
# body is larger than HAProxy's buffer (BUFSIZE, bytes). HAProxy can repeat a request only if it has
# read all of it before it passes it on. Ray has no variable for that option, but writes RETRY_ON
# into HAProxy's configuration as it is, so the option follows on a line of its own.
#
# HAProxy closes a connection whose client neither sends nor reads what is due for
# TIMEOUT_CLIENT_S; a client that waits for its response is not meant.
# Serve checks HAProxy every second (PROXY_HEALTH_CHECK_PERIOD_S), and replaces it after three
# failures. To start, HAProxy has three times PROXY_READY_CHECK_TIMEOUT_S, which a busy machine may
# need. A replica that hangs could not finish its responses in peace: it is ended at once
# (FORCE_STOP_UNHEALTHY_REPLICAS).
#
# Serve would hold back a thousand lines of its logs, failures among them (LOG_BUFFER_SIZE). At its
# start a replica sends 115 kB to the controller. Ray would keep objects of more than 100 kB on the
# replica's node, which would then never be idle and never end before its drain time is over
# (max_direct_call_object_size).
SERVE_ENV = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "1",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "900",
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response\n    option http-buffer-request",
    "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": "65536",
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "60",
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "blended.middleware:middlewares",
    "RAY_max_direct_call_object_size": "1048576",
}

# Ray and vLLM send no usage statistics.
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
