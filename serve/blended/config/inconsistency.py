"""A contradiction between the fields of a blend's configuration."""

from typing import Any

from pydantic_core import PydanticCustomError

Path = tuple[int | str, ...]
# Where it is, the value there, and what is wrong with it.
Inconsistency = tuple[Path, Any, PydanticCustomError]


def error(message: str) -> PydanticCustomError:
    """What is wrong, in a sentence's part that says what to do."""
    # Braces would be taken for placeholders of the template.
    return PydanticCustomError("inconsistent", "{message}", {"message": message})


def is_number(value: Any) -> bool:
    """Whether a raw value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
