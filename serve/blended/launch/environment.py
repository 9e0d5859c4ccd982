"""The environment that Ray has to start with, the same on every node of a cluster."""

# HAProxy in front, bytes straight from the replica: the only mode that Blended runs in.
# A stream outlives a reload of HAProxy only for HARD_STOP_AFTER_S: as long as a replica may drain.
SERVE_ENV = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "1",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "900",
}

# Nothing is reported to anybody.
PRIVACY_ENV = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
