"""Times as people write them."""

from datetime import UTC, datetime


def in_utc(text: str) -> datetime:
    """A time in ISO 8601, or a day's beginning, in UTC unless it says otherwise.

    Raises:
        ValueError: it is none.
    """
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
