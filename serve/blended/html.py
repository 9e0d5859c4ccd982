"""Self-contained HTML pages, from Jinja templates beside the code that fills them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates(folder: Path, filters: Mapping[str, Any]) -> Environment:
    """The templates of a folder, with escaping; an undefined variable raises an error."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment
