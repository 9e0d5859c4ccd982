"""The quality that a simulated component plants in its texts, where a simulation has one.

It stands in the text, so that whoever gets the text can read it, and nobody else.
"""

import random
import re

_QUALITY = re.compile(r"quality=([+-]\d+\.\d+)")


def planted(rng: random.Random) -> str:
    """The first word of a text: its quality, a standard normal number."""
    return f"quality={rng.gauss(0, 1):+.6f}"


def quality_of(text: str) -> float | None:
    """The quality that stands last in a text; None if none does."""
    found = _QUALITY.findall(text)
    return float(found[-1]) if found else None
