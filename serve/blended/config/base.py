"""The base of all configuration: frozen pydantic models that refuse unknown keys."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import core_schema

from blended.timestamps import in_utc

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Weight = Annotated[float, Field(ge=0, le=1e9)]
Share = Annotated[float, Field(ge=0, le=1)]
Json = Any


def _moment(value: Json) -> Json:
    """Take a time without a zone as UTC; YAML parses times and days itself.

    A number would count the seconds since 1970: 20270131 is a day of that year.
    """
    if isinstance(value, int | float):
        raise ValueError("write a time like 2027-01-31 or 2027-01-31T12:00:00Z")
    try:
        return in_utc(value.isoformat() if isinstance(value, date) else value)
    except (TypeError, ValueError):
        return value


# A day is a time as well, which JSON Schema's date-time is not.
Moment = Annotated[
    AwareDatetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "title": "Time"})
]


def _no_boolean(value: Json) -> Json:
    if isinstance(value, bool):
        raise ValueError("write a number; YAML reads yes, no, on and off as true and false")
    return value


# Parts of a core schema that contain no others.
_NO_SCHEMAS = ("default", "metadata", "config", "serialization")


def _strict_numbers(schema: Any, model: type[BaseModel]) -> Any:
    """A core schema in which no boolean is a number, below lists and mappings as well."""
    if isinstance(schema, list | tuple):
        return type(schema)(_strict_numbers(item, model) for item in schema)
    # A model inside this one has been here itself.
    if not isinstance(schema, dict) or schema.get("cls", model) is not model:
        return schema
    inner = {k: v if k in _NO_SCHEMAS else _strict_numbers(v, model) for k, v in schema.items()}
    if schema.get("type") in ("int", "float"):
        return core_schema.no_info_before_validator_function(_no_boolean, inner)
    return inner


class Frozen(BaseModel):
    """Base of all configuration: immutable, unknown keys refused, no infinities."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        # A value may be a secret, and pydantic's own words go to logs.
        hide_input_in_errors=True,
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Pydantic's hook: the schema by which a model is checked."""
        return _strict_numbers(handler(source), cls)


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

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        """Pydantic's hook: the schema by which editors check it."""
        return {"anyOf": [{"type": "number"}, handler(schema)]}
