"""The errors for wrong fields."""

import json
from typing import Any, NoReturn

from blended.errors import ApiError

_SHOWN = 80


def refuse(param: str, value: Any, remedy: str) -> NoReturn:
    """Refuse a field's value.

    Raises:
        ApiError: 400, always.
    """
    shown = "missing" if value is None else f"{json.dumps(value)[:_SHOWN]}, which is not valid"
    raise ApiError(400, f"'{param}' is {shown}; {remedy}.", "invalid_value", param)


def refuse_field(name: str, remedy: str) -> NoReturn:
    """Refuse a field with any value.

    Raises:
        ApiError: 400, always.
    """
    name = name[:_SHOWN]
    message = (
        f"'{name}' is not supported; {remedy}. It passes only where every component that may be "
        "drawn lists it under 'passthrough' in the blend's file."
    )
    raise ApiError(400, message, "unsupported_parameter", name)
