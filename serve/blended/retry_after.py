"""When a client may try again after an error: the Retry-After header, in seconds.

Four other values depend on the cause: the period of a component's health checks, or what full
components ask for themselves (`router/attempts.py`), the end of a key's rate limit window
(`router/access/rate_limits.py`), and one second for a router that waits for its configuration
(`router/access/gate.py`).
"""

# By error code.
RETRY_AFTER_S = {"overloaded": 1, "record_not_found": 2, "journal_unavailable": 5}
