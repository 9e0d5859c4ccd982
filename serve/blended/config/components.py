"""A component: the model, how it is sampled, what it needs, and how it is reached."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from blended.config.base import Bound, Frozen, Identifier, Json, Seconds
from blended.config.best_of import BestOf
from blended.config.engine_names import AcceleratorName, EngineArgument, ModelName


class Sampling(Frozen):
    """The sampling parameters of a component, by their names in the OpenAI and vLLM APIs."""

    temperature: Bound = Bound(min=0, max=2)
    top_p: Bound = Bound()
    top_k: Bound = Bound()
    min_p: Bound = Bound()
    presence_penalty: Bound = Bound()
    frequency_penalty: Bound = Bound()
    repetition_penalty: Bound = Bound()
    max_tokens: Bound = Bound(default=512, min=1, max=2048)
    n: Bound = Bound(min=1, max=8)
    stop: tuple[str, ...] = ()


class RemoteSampling(Sampling):
    """The same for a remote API, which gets no limit of tokens that no client has sent."""

    max_tokens: Bound = Bound(min=1, max=2048)


class Timeouts(Frozen):
    """How long the router waits for a component: to connect, for the first byte, between bytes."""

    connect_s: Seconds = 5
    first_byte_s: Seconds = 120
    idle_s: Seconds = 60


class History(Frozen):
    """How the shared history is made legal for a component whose chat template refuses parts of it.

    `system`: `keep` system messages, `fold` them into the user message that follows, or `drop`
    them. `alternate` merges neighbours of one role and pads, so that user and assistant take turns
    and the user begins. `tools`: `keep` tool calls and results, or write them out as `text`.
    `reasoning` keeps the reasoning parts of earlier responses, which other models may have written.

    Once a history exceeds the context, its oldest turns are dropped in blocks of `block` times the
    room there is, so that the beginning stays the same for many turns and prefix caches survive.
    """

    system: Literal["keep", "fold", "drop"] = "keep"
    alternate: bool = False
    tools: Literal["keep", "text"] = "keep"
    reasoning: bool = False
    block: Annotated[float, Field(gt=0, le=0.9)] = 0.5


class Health(Frozen):
    """When a component counts as available: every router replica decides for itself.

    Its address is asked every `period_s`; it leaves the draw when that fails, or when `failures`
    responses in a row did, and returns with the next check that succeeds.
    """

    period_s: Seconds = 5
    timeout_s: Seconds = 5
    failures: Annotated[int, Field(ge=1)] = 3


def _rising(capacity: tuple[float, ...]) -> tuple[float, ...]:
    """Check that no rate falls and that the last one rises, as all further replicas add as much."""
    steps = [after - before for before, after in pairwise((0.0, *capacity))]
    if min(steps) < 0:
        raise ValueError("more replicas answer no less; write rates that do not fall")
    if steps[-1] == 0:
        raise ValueError("the last rate adds nothing to the one before; leave it out")
    return capacity


Capacity = Annotated[
    tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_rising)
]


class Replicas(Frozen):
    """The number of replicas of a deployment, and the number of requests that each takes.

    Autoscaling aims at `target_ongoing_requests` for one replica. A replica runs at most
    `max_ongoing_requests` at once; `max_queued_requests` may wait before requests are refused.
    A short queue keeps the latency of admitted requests low: a refused request goes to another
    replica or component. Requests that arrive in the same millisecond count as waiting, so the
    queue must hold a burst of them. A replica that ends has `graceful_shutdown_timeout_s` to finish
    its responses; the default allows 0.4 s for each of the 2,048 tokens of the default limit.

    `capacity` lists the responses per second that 1, 2, … replicas of a component answer within the
    service level, as `cluster.capacity.plan` writes them. With it, autoscaling follows the rate
    that the component has to expect instead of waiting until requests pile up: it adds replicas at
    once, without the `upscale_delay_s`.
    """

    min: Annotated[int, Field(ge=1)] = 1
    max: Annotated[int, Field(ge=1)] = 1
    target_ongoing_requests: Annotated[float, Field(gt=0)] = 32
    max_ongoing_requests: Annotated[int, Field(ge=1)] = 64
    max_queued_requests: Annotated[int, Field(ge=1)] = 8
    upscale_delay_s: Annotated[float, Field(ge=0)] = 30
    downscale_delay_s: Annotated[float, Field(ge=0)] = 600
    graceful_shutdown_timeout_s: Seconds = 900
    capacity: Capacity | None = None


def _hundredths(fraction: float) -> float:
    """Check a share of one GPU."""
    if not 0.01 <= fraction <= 0.99 or abs(100 * fraction - round(100 * fraction)) > 1e-9:
        raise ValueError(
            "write a share of one GPU in hundredths, such as 0.3; leave it out for whole GPUs"
        )
    return fraction


GpuFraction = Annotated[float, AfterValidator(_hundredths)]


class Hardware(Frozen):
    """The hardware of one replica: GPUs of one type on one node, and CPUs beside each GPU.

    `accelerator` is `cpu` or one of Ray's accelerator types; `replica_group` names the group of
    nodes that alone may hold the replicas. `gpu_fraction` is the share of one GPU that a replica
    takes, in hundredths: Ray's share of the card and, times 0.9, vLLM's `gpu_memory_utilization`.
    Components of one replica group share its cards, and one card has to hold a replica of each.
    """

    accelerator: AcceleratorName = "cpu"
    tensor_parallel_size: Annotated[int, Field(ge=1)] = 1
    gpu_fraction: GpuFraction | None = None
    cpus: Annotated[float, Field(ge=0)] = 1
    replica_group: Identifier | None = None

    @property
    def gpus(self) -> float:
        """The GPUs of one replica: whole ones, a share of one, or none."""
        if self.accelerator == "cpu":
            return 0
        return self.gpu_fraction or self.tensor_parallel_size


class Engine(Hardware):
    """A vLLM engine: the model, how it is loaded, and the hardware one replica of it takes.

    `model` is a Hugging Face id, a path, or `demo:<id>` for a model that ships with this package;
    `chat_template` is Jinja text or the path of a file; `args` are vLLM's engine arguments.
    """

    model: ModelName
    tokenizer: str | None = None
    chat_template: str | None = None
    max_model_len: Annotated[int, Field(ge=16)] | None = None
    env: Mapping[str, str] = {}
    args: Mapping[EngineArgument, Json] = {}


Capability = Literal["tools", "images", "json_schema", "logprobs", "reasoning"]
Dialect = Literal["compatible", "openai", "mistral", "vllm"]
RequestField = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]


class Component(Frozen):
    """What all kinds of component have in common.

    `parameters` and `context_tokens` (prompt and response together) are stated where they cannot
    be read from the engine's arguments; without a context limit no turn is dropped.

    `capabilities` are what the component can do beyond texts. A request that needs one of them is
    drawn among the components that have it; an effort of reasoning is left out if no component
    reasons. Unless they are stated, an engine has `json_schema` and
    `logprobs`, `tools` if its arguments name a `tool_call_parser` with `enable_auto_tool_choice`,
    and `reasoning` if they name a `reasoning_parser`. Every other component counts as having all,
    but for log probabilities, which Mistral's API has not.

    `passthrough` are fields of requests that reach this component beyond those in docs/api.md, such
    as `ignore_eos`. A client may send one if every component that may be drawn lists it. Of them
    `cache_salt` stays the router's: a remote component that lists it gets the salts of
    `api.cache_salt`, as every vLLM component does.

    With `best_of` the component generates several candidates for each of its responses, and the
    blend's `reward` model chooses one.
    """

    id: Identifier
    description: str = ""
    parameters: Annotated[float, Field(gt=0)] | None = None
    context_tokens: Annotated[int, Field(ge=16)] | None = None
    sampling: Sampling = Sampling()
    history: History = History()
    timeouts: Timeouts = Timeouts()
    health: Health = Health()
    capabilities: tuple[Capability, ...] | None = None
    passthrough: tuple[RequestField, ...] = ()
    best_of: BestOf | None = None


class VllmComponent(Component):
    """A chat model on vLLM, served by Ray Serve under `/components/<id>`.

    `kv_bytes_per_token` are the bytes of KV cache that one token takes: keys and values, 2 bytes
    each, of all layers and heads. It is read from the model's `config.json` where that is on this
    machine, and tells how many tokens a share of a GPU holds.
    """

    kind: Literal["vllm"]
    engine: Engine
    kv_bytes_per_token: Annotated[float, Field(gt=0)] | None = None
    replicas: Replicas = Replicas()

    @property
    def hardware(self) -> Hardware:
        """What one replica takes."""
        return self.engine


class RemoteComponent(Component):
    """Any OpenAI-compatible API; its key is read from the variable `api_key_env` of the router.

    `dialect` says which fields the API takes, and under which names: those of OpenAI, of Mistral,
    or of vLLM; `compatible` passes all of them, the limit of tokens as `max_tokens`, and at most
    four texts that end a response.

    With `prefetch` the API reads conversations ahead (`selection.look_ahead`), which it bills: that
    helps where the API keeps prompts in a cache.
    """

    kind: Literal["remote"]
    dialect: Dialect = "compatible"
    sampling: RemoteSampling = RemoteSampling()
    prefetch: bool = False
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]
    model: Annotated[str, Field(min_length=1)]
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None


class Simulation(Hardware):
    """How a simulated component answers: log-normal times and geometric lengths, seeded.

    `ttft_ms`, `itl_ms` and `tokens` are means, `jitter` is the coefficient of variation of the
    times; beyond `concurrency` responses at once the others wait, as they would in an engine. The
    means grow by so much with each response that runs on the replica, its own included, and with
    each token of the prompt. With an accelerator it reserves the hardware of an engine, and leaves
    it idle. With `quality` each text begins with a number, drawn from the standard normal
    distribution, which a simulated reward model reads.
    """

    ttft_ms: Annotated[float, Field(ge=0, le=600_000)] = 50
    ttft_ms_per_running: Annotated[float, Field(ge=0, le=600_000)] = 0
    ttft_ms_per_prompt_token: Annotated[float, Field(ge=0, le=600_000)] = 0
    itl_ms: Annotated[float, Field(ge=0, le=600_000)] = 10
    itl_ms_per_running: Annotated[float, Field(ge=0, le=600_000)] = 0
    tokens: Annotated[int, Field(ge=1, le=100_000)] = 64
    jitter: Annotated[float, Field(ge=0, le=3)] = 0.2
    concurrency: Annotated[int, Field(ge=1)] = 64
    seed: int = 0
    quality: bool = False
    cpus: Annotated[float, Field(ge=0)] = 0.1


class SimulatedComponent(Component):
    """A stand-in for rehearsing load: no model, only its timing."""

    kind: Literal["simulated"]
    simulation: Simulation = Simulation()
    replicas: Replicas = Replicas()

    @property
    def hardware(self) -> Hardware:
        """What one replica takes."""
        return self.simulation


AnyComponent = Annotated[
    VllmComponent | RemoteComponent | SimulatedComponent, Field(discriminator="kind")
]
