"""The tokens that a component reports, read without trust in the report."""

from collections.abc import Mapping
from typing import Any

_MOST_TOKENS = 2**31


def reported(usage: Any, name: str) -> int | None:
    """A count of tokens as a component reports it; None if it is none, or none that can be."""
    value = usage.get(name) if isinstance(usage, Mapping) else None
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS
    return value if is_count else None
