"""Which policy draws the responses of a blend or of an arm."""

from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, model_validator

from blended.config.base import Frozen, Identifier, Json


class Policy(Frozen):
    """A policy that `blended learn fit` has made; in short `name@version`.

    It gives each response's probabilities by what is known of the request. `version` is the hash of
    its file: there is no latest one. The file NAME.VERSION.json is in the folder `policies` of the
    state folder of every node that holds a router. `floor` is the least probability that it has to
    leave each component: a file that was fitted with less is not used. If a prediction takes more
    than `timeout_ms` of the processor, or fails, the weights decide.
    """

    name: Identifier
    version: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    floor: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    timeout_ms: Annotated[float, Field(gt=0, le=1000)] = 2

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Json) -> Json:
        if not isinstance(data, str):
            return data
        name, at, version = data.partition("@")
        if not at:
            raise ValueError("write name@version, as `blended learn fit` prints it")
        return {"name": name, "version": version}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        """Pydantic's hook: the schema by which editors check it."""
        return {"anyOf": [{"type": "string"}, handler(schema)]}

    @property
    def reference(self) -> str:
        """The name with the version."""
        return f"{self.name}@{self.version}"
