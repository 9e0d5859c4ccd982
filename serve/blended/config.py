"""A blend as one YAML file: frozen pydantic models that refuse unknown keys.

`load("demo")` reads a preset, `load("blend.yaml")` a file; every mistake is reported at once.
"""

from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails

from blended.consistency import inconsistencies
from blended.experiments.consistency import of_experiments
from blended.moments import in_utc

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Weight = Annotated[float, Field(ge=0, le=1e9)]
Share = Annotated[float, Field(ge=0, le=1)]
Json = Any


def _moment(value: Json) -> Json:
    """YAML reads times and days by itself, but knows no zone that is not written."""
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
    """A capacity, whose last replica has to add something, as all that come after it will."""
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
    """How many replicas serve a deployment, and how many requests each takes.

    `target_ongoing_requests` is what autoscaling aims at for one replica, `max_ongoing_requests`
    what a replica runs at once, `max_queued_requests` what may wait before requests are refused.
    A short queue keeps the latency of those that are admitted: whoever is refused is sent on to
    another replica or component. Requests that arrive in the same millisecond count as waiting, so
    that it must hold a burst of them. `graceful_shutdown_timeout_s` is how long a replica that goes
    may finish its responses; the default allows the 2,048 tokens of the default limit 0.4 s each.

    `capacity` are the responses per second that 1, 2, … replicas of a component answer within the
    service level, as `cluster.plan` writes them. With it autoscaling does not wait for requests to
    pile up but follows the rate that the component has to expect: replicas are added at once,
    without the `upscale_delay_s`.
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


class Hardware(Frozen):
    """What one replica takes: so many GPUs of one type on one node, and so many CPUs beside each.

    `accelerator` is `cpu` or one of Ray's accelerator types; `replica_group` names the group of
    nodes that alone may hold the replicas.
    """

    accelerator: str = "cpu"
    tensor_parallel_size: Annotated[int, Field(ge=1)] = 1
    cpus: Annotated[float, Field(ge=0)] = 1
    replica_group: Identifier | None = None


class Engine(Hardware):
    """A vLLM engine: the model, how it is loaded, and the hardware one replica of it takes.

    `model` is a Hugging Face id, a path, or `demo:<id>` for a model that ships with this package;
    `chat_template` is Jinja text or the path of a file; `args` are vLLM's engine arguments.
    """

    model: Annotated[str, Field(min_length=1)]
    tokenizer: str | None = None
    chat_template: str | None = None
    max_model_len: Annotated[int, Field(ge=16)] | None = None
    env: Mapping[str, str] = {}
    args: Mapping[str, Json] = {}


class Component(Frozen):
    """What all kinds of component have in common.

    `parameters` and `context_tokens` (prompt and response together) are stated where they cannot
    be read from the engine's arguments; without a context limit no turn is dropped.
    """

    id: Identifier
    description: str = ""
    parameters: Annotated[float, Field(gt=0)] | None = None
    context_tokens: Annotated[int, Field(ge=16)] | None = None
    sampling: Sampling = Sampling()
    history: History = History()
    timeouts: Timeouts = Timeouts()
    health: Health = Health()


class VllmComponent(Component):
    """A chat model on vLLM, served by Ray Serve under `/components/<id>`."""

    kind: Literal["vllm"]
    engine: Engine
    replicas: Replicas = Replicas()

    @property
    def hardware(self) -> Hardware:
        """What one replica takes."""
        return self.engine


class RemoteComponent(Component):
    """Any OpenAI-compatible API; its key is read from the variable `api_key_env` of the router."""

    kind: Literal["remote"]
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]
    model: Annotated[str, Field(min_length=1)]
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None


class Simulation(Hardware):
    """How a simulated component answers: log-normal times and geometric lengths, seeded.

    `ttft_ms`, `itl_ms` and `tokens` are means, `jitter` is the coefficient of variation of the
    times; beyond `concurrency` responses at once the others wait, as they would in an engine. The
    means grow by so much with each response that runs on the replica, its own included, and with
    each token of the prompt. With an accelerator it reserves the hardware of an engine, and leaves
    it idle.
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


class Selection(Frozen):
    """The selection distribution: weights by component id, uniform when there are none.

    `seed` keys the draws; who knows it, the conversation, turn and nonce can replay any of them.
    """

    weights: Mapping[str, Weight] | None = None
    seed: str = ""


class Api(Frozen):
    """What clients see and may do.

    `reveal_component` names the component of every response; `cors_origins` are the origins whose
    pages may call the API from a browser. `keys_file` holds the clients' keys by their hashes;
    without one the key in the environment variable BLENDED_API_KEY is the only one. `limits_store`
    is where the rate limits of keys are counted: in each router replica's memory, or in a Redis
    that all replicas share (`redis://host:6379`).
    """

    reveal_component: bool = False
    max_body_bytes: Annotated[int, Field(ge=1024)] = 4 * 2**20
    cors_origins: tuple[str, ...] = ()
    keys_file: str | None = None
    dangerously_serve_without_keys: bool = False
    limits_store: Annotated[str, Field(pattern=r"^(memory|rediss?)://\S*$")] = "memory://"


class RouterReplicas(Replicas):
    """A router replica only passes bytes, so that it takes many more requests than an engine.

    With `max_per_node` a node that is lost takes no more than so many of them with it.
    `rate_window_s` is what the rate of requests is counted over that components are scaled by: the
    longer, the less of it is chance, and the later a slow change is seen. A rush is seen in a
    sixth of it. The router itself has no `capacity`: what is under way is what it costs.
    """

    min: Annotated[int, Field(ge=1)] = 2
    max: Annotated[int, Field(ge=1)] = 8
    target_ongoing_requests: Annotated[float, Field(gt=0)] = 100
    max_ongoing_requests: Annotated[int, Field(ge=1)] = 1000
    max_queued_requests: Annotated[int, Field(ge=1)] = 100
    max_per_node: Annotated[int, Field(ge=1, le=100)] | None = None
    rate_window_s: Annotated[float, Field(ge=1, le=3600)] = 60
    capacity: None = None


class Router(Frozen):
    """The router's own deployment; `replica_group` names the nodes that alone may hold it."""

    cpus: Annotated[float, Field(ge=0)] = 1
    replica_group: Identifier | None = None
    replicas: RouterReplicas = RouterReplicas()


class Content(Frozen):
    """The texts of requests, responses and comments are kept, for so many days."""

    retention_days: Annotated[float, Field(gt=0)] = 30


class Spool(Frozen):
    """Where records wait for the database on each machine: a folder that outlives the router.

    Without `folder` it is in the state folder of the user who runs the router. `max_bytes` bounds
    what one router replica keeps there.
    """

    folder: str | None = None
    max_bytes: Annotated[int, Field(ge=2**20)] = 2**28


class Journal(Frozen):
    """What is kept of every response: no text, unless `content` is given.

    Records older than `retention_days` are removed; None keeps them for good. The database is the
    one in the environment variable BLENDED_JOURNAL_URL, else a SQLite file in the state folder;
    users are hashed with the secret in BLENDED_JOURNAL_SECRET.
    """

    enabled: bool = True
    retention_days: Annotated[float, Field(gt=0)] | None = None
    content: Content | None = None
    spool: Spool = Spool()


class Tracing(Frozen):
    """Which share of the responses is traced; a client that traces its request decides for it.

    Spans go by OTLP/HTTP to the collector whose address the environment variable
    OTEL_EXPORTER_OTLP_ENDPOINT has on every node.
    """

    sampling_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01


class Arm(Frozen):
    """A part of an experiment's users, and the selection distribution that answers them.

    `share` is the part in proportion to the other arms' shares. A component that `weights` does not
    name is never drawn; without weights the arm has the blend's own distribution.
    """

    id: Identifier
    share: Annotated[float, Field(gt=0, le=1e9)] = 1
    weights: Mapping[str, Weight] | None = None


class Rehearsal(Frozen):
    """The users are simulated, and a day of theirs lasts `day_s`; every report says so."""

    day_s: Annotated[float, Field(ge=1, le=86_400)] = 86_400


class Experiment(Frozen):
    """Which users get which selection distribution from `start` until before `end`.

    `users` is the experiment's slice of its `layer`, in which all users lie between 0 and 1 by a
    hash: experiments of one layer have slices apart, and one that grows at its end moves nobody.
    Where experiments of several layers take a user the first in the file decides. Users find their
    arm by a hash with `salt`, the experiment's name if there is none. `eligible: new` leaves out
    whoever came before the start.

    A session ends when a user does nothing for `session_gap_s`.
    """

    name: Identifier
    salt: str | None = None
    layer: Identifier = "default"
    users: tuple[Share, Share] = (0, 1)
    eligible: Literal["all", "new"] = "all"
    start: Moment
    end: Moment
    control: Identifier
    arms: Annotated[tuple[Arm, ...], Field(min_length=2)]
    session_gap_s: Seconds = 1800
    rehearsal: Rehearsal | None = None


class BlendConfig(Frozen):
    """A whole blend; `name` is its model id in the API.

    `holdout` is the part of the users who are kept out of every experiment.

    Raises:
        pydantic.ValidationError: with every mistake, those between fields included.
    """

    name: Identifier
    description: str = ""
    components: tuple[AnyComponent, ...]
    selection: Selection = Selection()
    api: Api = Api()
    journal: Journal = Journal()
    tracing: Tracing | None = None
    router: Router = Router()
    experiments: tuple[Experiment, ...] = ()
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0

    @model_validator(mode="wrap")
    @classmethod
    def _report_everything_at_once(cls, data: Json, handler: Any) -> Self:
        # Pydantic would check between fields only once every field is right by itself.
        if isinstance(data, cls):
            return data
        defaults = Replicas().model_dump(), RouterReplicas().model_dump()
        errors = [_inconsistency(*found) for found in inconsistencies(data, *defaults)]
        try:
            config: Self = handler(data)
            errors += [_inconsistency(*found) for found in of_experiments(config.experiments)]
        except ValidationError as exc:
            errors = [_details(error) for error in exc.errors(include_url=False)] + errors
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return config

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every component, in the order of the file."""
        given = self.selection.weights
        return {c.id: 1.0 if given is None else given.get(c.id, 0.0) for c in self.components}

    @property
    def hardware(self) -> dict[str, Hardware]:
        """What a replica takes of every component that is served here."""
        served = (c for c in self.components if not isinstance(c, RemoteComponent))
        return {component.id: component.hardware for component in served}

    @property
    def replica_groups(self) -> tuple[str, ...]:
        """The groups of nodes that the router and components are held to, each once."""
        named = [self.router.replica_group, *(h.replica_group for h in self.hardware.values())]
        return tuple(dict.fromkeys(group for group in named if group is not None))

    def arm_weights(self, arm: Arm) -> dict[str, float]:
        """The weight of every component in an arm of an experiment, in the order of the file."""
        if arm.weights is None:
            return self.weights
        return {component.id: arm.weights.get(component.id, 0.0) for component in self.components}


def _inconsistency(path: Any, value: Any, error: Any) -> InitErrorDetails:
    return InitErrorDetails(type=error, loc=path, input=value)


def _details(error: Any) -> InitErrorDetails:
    return InitErrorDetails(
        type=error["type"], loc=error["loc"], input=error["input"], ctx=error.get("ctx", {})
    )
