"""Times on the command line."""

from datetime import datetime

import typer

from blended.timestamps import in_utc


def moment(text: str) -> datetime:
    """A time as people write it, in UTC unless the text gives an offset.

    Raises:
        typer.BadParameter: the text is not a time.
    """
    try:
        return in_utc(text)
    except ValueError as exc:
        message = f"'{text}' is no time; write one like 2027-01-31 or 2027-01-31T12:00:00Z."
        raise typer.BadParameter(message) from exc
