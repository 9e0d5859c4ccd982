"""Times on the command line."""

import re
from datetime import UTC, datetime, timedelta

import typer

from blended.timestamps import in_utc

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def past(text: str) -> datetime:
    """A time as people write it, or so long ago: `30m`, `24h`, `7d`.

    Raises:
        typer.BadParameter: the text is neither.
    """
    if found := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        return in_utc(text)
    except ValueError as exc:
        message = f"'{text}' is no time; write one like 2027-01-31, 2027-01-31T12:00:00Z or 24h."
        raise typer.BadParameter(message) from exc


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


def future(text: str) -> datetime:
    """A time as people write it, which has not come yet.

    Raises:
        typer.BadParameter: the text is not a time, or the time is over.
    """
    found = moment(text)
    if found <= datetime.now(UTC):
        raise typer.BadParameter(f"'{text}' is over; give a time to come.")
    return found
