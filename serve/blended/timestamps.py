"""Times as people write them."""

from datetime import UTC, datetime


def in_utc(text: str) -> datetime:
    """A time in ISO 8601, or the start of a day; in UTC unless the text gives an offset.

    Raises:
        ValueError: the text is not a time.
    """
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
