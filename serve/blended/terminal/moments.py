"""Times on the command line."""

from datetime import UTC, datetime

import typer


def moment(text: str) -> datetime:
    """A time as people write it, in UTC unless it says otherwise.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as exc:
        message = f"'{text}' is no time; write one like 2027-01-31 or 2027-01-31T12:00:00Z."
        raise typer.BadParameter(message) from exc
    return found if found.tzinfo else found.replace(tzinfo=UTC)
