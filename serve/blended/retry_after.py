"""When a client may try again after an error: the Retry-After header, in seconds.

Three more depend on the cause: a component is asked again by the next health check
(`router/attempts.py`), a key's limit ends with its window (`router/access/rate_limits.py`), and a
router has its configuration within a second (`router/access/gate.py`).
"""

# By the error's code.
RETRY_AFTER_S = {"overloaded": 1, "record_not_found": 2, "journal_unavailable": 5}
