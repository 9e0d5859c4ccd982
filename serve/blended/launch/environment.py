"""The environment that Ray has to start with, the same on every node of a cluster."""

# HAProxy in front, bytes straight from the replica: the only mode that Blended runs in.
# A stream outlives a reload of HAProxy only for HARD_STOP_AFTER_S: as long as a replica may drain.
# A request whose replica dies before it answers goes to another one (RETRY_ON), unless its body is
# larger than HAProxy's buffer (BUFSIZE, bytes). HAProxy repeats only what it has read to the end
# before it passed it on, which takes an option that Ray has no variable for: RETRY_ON is written
# into HAProxy's configuration as it is, so that the option follows on a line of its own.
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
