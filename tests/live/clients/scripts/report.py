"""What every client's script shares: the blend's address, the tool, the form, and the report.

These scripts run in environments of their own, without this project's packages.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

HOST = os.environ["BLEND_URL"]
URL = f"{HOST}/v1"
KEY = os.environ["BLEND_KEY"]
MODEL = "clients"

ABOUT = "The weather of a place."
PARAMETERS = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["place", "days"],
    "additionalProperties": False,
}
TOOL = {"name": "weather", "description": ABOUT, "parameters": PARAMETERS}
SUNNY = "sunny"


class Mood(BaseModel):
    """The form of a structured answer."""

    name: str
    mood: Literal["calm", "merry"]
    friends: list[str]


def report(*things: Callable[[str], Any]) -> None:
    """Do each thing with a prompt that names it, and print one line of JSON: what each saw."""
    print(json.dumps({thing.__name__: _seen(thing) for thing in things}))


def _seen(thing: Callable[[str], Any]) -> Any:
    prompt = f"Hello! [{Path(sys.argv[0]).stem} {thing.__name__}]"
    try:
        return thing(prompt)
    except Exception as exc:  # noqa: BLE001 - the test shows it
        return {"error": f"{type(exc).__name__}: {exc}"}
