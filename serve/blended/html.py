"""Self-contained HTML pages, from Jinja templates beside the code that fills them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from blended.errors import ConfigError


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


def write(file: Path, page: str) -> None:
    """Keep a page in a file.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"'{file}' cannot be written: {exc.strerror}.") from exc
