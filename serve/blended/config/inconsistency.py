"""A contradiction between the fields of a blend's configuration."""

from typing import Any

from pydantic_core import PydanticCustomError

Path = tuple[int | str, ...]
# Its path, its value, and the mistake.
Inconsistency = tuple[Path, Any, PydanticCustomError]


def error(message: str) -> PydanticCustomError:
    """The mistake, as a part of a sentence that says what to do."""
    # The template would take braces for placeholders.
    return PydanticCustomError("inconsistent", "{message}", {"message": message})


def is_number(value: Any) -> bool:
    """Whether a raw value is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
