"""The reward model, which chooses among several candidates for a response."""

from typing import Annotated, Literal

from pydantic import Field

from blended.config.base import Frozen, Identifier
from blended.config.components import Engine, Hardware, Replicas
from blended.internal import REWARD


class RewardModel(Frozen):
    """What all kinds of reward model have in common: one model for all components of the blend.

    It scores the last `tokens` of each candidate with what was said before it, written as
    "User: …" and "Assistant: …". A score that is not there after `timeout_ms` is not waited for:
    the first candidate then is the response.
    """

    timeout_ms: Annotated[float, Field(gt=0, le=60_000)] = 500
    tokens: Annotated[int, Field(ge=16)] = 256
    replicas: Replicas = Replicas()

    @property
    def id(self) -> str:
        """Its name beside those of the components."""
        return REWARD


class VllmReward(RewardModel):
    """A classifier of one label on vLLM, served by Ray Serve under `/reward`.

    The engine gets `runner: pooling`. Responses' records name `version`, by default the engine's
    model. `parameters` are stated where they cannot be read from the model's files.
    """

    kind: Literal["vllm"]
    engine: Engine
    version: str | None = None
    parameters: Annotated[float, Field(gt=0)] | None = None

    @property
    def hardware(self) -> Hardware:
        """What one replica takes."""
        return self.engine


class RewardProcess(RewardModel):
    """A reward model in a process of its own, without an engine; `tokens` are words.

    `replica_group` names the group of nodes that alone may hold its replicas.
    """

    cpus: Annotated[float, Field(ge=0)] = 0.5
    replica_group: Identifier | None = None

    @property
    def hardware(self) -> Hardware:
        """What one replica takes."""
        return Hardware(cpus=self.cpus, replica_group=self.replica_group)


class LocalReward(RewardProcess):
    """A small model in NumPy on a CPU, as `blended reward fit` writes it.

    `model` is its path on the nodes that hold it.
    """

    kind: Literal["local"]
    model: Annotated[str, Field(min_length=1)]


class SimulatedReward(RewardProcess):
    """A stand-in that reads the quality which simulated components write into their texts.

    Its score is `correlation` times that quality and a normal noise, which the text decides, so
    that both correlate so much. It takes `ms` to answer.
    """

    kind: Literal["simulated"]
    correlation: Annotated[float, Field(ge=0, le=1)] = 0.5
    ms: Annotated[float, Field(ge=0, le=60_000)] = 5
    cpus: Annotated[float, Field(ge=0)] = 0.1


AnyReward = Annotated[VllmReward | LocalReward | SimulatedReward, Field(discriminator="kind")]
