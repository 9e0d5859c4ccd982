"""The base of all configuration: frozen pydantic models that refuse unknown keys."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from blended.timestamps import in_utc

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Weight = Annotated[float, Field(ge=0, le=1e9)]
Share = Annotated[float, Field(ge=0, le=1)]
Json = Any


def _moment(value: Json) -> Json:
    """Take a time without a zone as UTC; YAML parses times and days itself."""
    try:
        return in_utc(value.isoformat() if isinstance(value, date) else value)
    except (TypeError, ValueError):
        return value


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]


class Frozen(BaseModel):
    """Base of all configuration: immutable, unknown keys refused, no infinities."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


class Bound(Frozen):
    """A sampling parameter: what a request gets that does not set it, and the range it may ask for.

    A bare number in the file is a default without a range. Requests outside the range are moved to
    its nearest end, because the client cannot know which component its response will be drawn from.
    """

    default: float | None = None
    min: float | None = None
    max: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, data: Json) -> Json:
        if isinstance(data, int | float) and not isinstance(data, bool):
            return {"default": data}
        if isinstance(data, Mapping | Bound):
            return data
        raise ValueError("write one number, or some of min, default and max")
