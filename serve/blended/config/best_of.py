"""How many candidates a response has, and when they are judged."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, GetJsonSchemaHandler, model_validator

from blended.config.base import Frozen, Json


class BestOf(Frozen):
    """So many candidates for a response, of which the client gets the best by the reward model.

    A bare number in the file is `k`. With `early` the candidates are judged after so many tokens,
    and only the best one goes on: the response then begins after these tokens, and not after the
    longest candidate. That needs vLLM's `continue_final_message`, which remote APIs do not have.
    """

    k: Annotated[int, Field(ge=1, le=16)]
    early: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, data: Json) -> Json:
        if isinstance(data, int) and not isinstance(data, bool):
            return {"k": data}
        if isinstance(data, Mapping | BestOf):
            return data
        raise ValueError("write a whole number of candidates, or a mapping with k and early")

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Json, handler: GetJsonSchemaHandler) -> Json:
        """Pydantic's hook: the schema by which editors check it."""
        return {"anyOf": [{"type": "integer"}, handler(schema)]}
