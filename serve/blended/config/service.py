"""The service around the components: the draw, the API, the router, the journal, traces."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from blended.config.base import Frozen, Identifier, Seconds, Weight
from blended.config.components import Replicas
from blended.config.policies import Policy

_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://([^\s/:*[]+|\[[0-9a-f:]+\])(:(\*|[0-9]+))?")


def _origin(value: str) -> str:
    """Check an origin as browsers send it, or one that ends in `:*`; another would let no page in.

    A page that lies in a file, or in a sandbox, has the origin `null`.
    """
    if not _ORIGIN.fullmatch(value):
        raise ValueError(
            "write scheme, host and port alone, like https://chat.example.org, with :* for any port"
        )
    return value


Origin = Annotated[str, AfterValidator(_origin)]


class Selection(Frozen):
    """The selection distribution: weights by component id, uniform when there are none.

    `seed` keys the draws: seed, conversation, turn and nonce together replay a draw.

    With `look_ahead` the component of a conversation's next response is drawn when the response
    before it has ended, and reads the conversation while the user does: its first token then comes
    sooner. Draws stay as random as before. Engines get `scheduling_policy: priority`, so that
    reading ahead waits for requests. With several router replicas it needs `api.shared_store` on
    Redis: otherwise it serves the turns that reach the same replica again.

    With `per_conversation` every conversation has so many seats, each drawn from the distribution,
    and each of its responses is drawn among its seats. The components keep their shares over all
    conversations, while one conversation has fewer components, which read less.

    With a `policy` the probabilities of a chat's response depend on what is known of the request;
    it divides what the weights leave: a component of weight 0 is never drawn. With `recall` the
    router keeps in the shared store which component answered last, and when, for as long as a
    session may pause, and records tell it: a policy is fitted to what the router knew. A policy
    switches it on. It costs two calls of the store for each response.
    """

    weights: Mapping[str, Weight] | None = None
    seed: str = ""
    look_ahead: bool = False
    per_conversation: Annotated[int, Field(ge=1, le=100)] | None = None
    policy: Policy | None = None
    recall: bool = False


class Api(Frozen):
    """What clients see and may do.

    `reveal_component` names the component of every response; `cors_origins` are the origins whose
    pages may call the API from a browser: `https://chat.example.org`, with any port
    `http://localhost:*`, or `*` for all. `keys_file` holds the clients' keys by their hashes;
    without one the key in the environment variable BLENDED_API_KEY is the only one. `shared_store`
    keeps what all router replicas have to know, the counts of rate limits and the draws of
    `selection.look_ahead`: in each replica's own memory, or in a Redis that all of them share
    (`redis://host:6379`).

    `cache_salt` says which requests share an engine's prefix cache: those of one `key`, of one
    `user` of a key, or all (`none`). Usage tells a client of cached tokens only where the cache is
    its own: never with `none`, of remote components, or without keys.

    A stream that has not begun after `keep_alive_s` gets a comment every so often, which keeps load
    balancers from cutting it. With the first one the status 200 is sent: another component can
    still be asked, but an error then comes as an event of the stream.

    A request may have `max_messages` messages, and `max_parts` content parts and tool calls in all
    of them: a router replica passes through them one by one.
    """

    reveal_component: bool = False
    max_body_bytes: Annotated[int, Field(ge=1024)] = 4 * 2**20
    cache_salt: Literal["key", "user", "none"] = "key"
    max_messages: Annotated[int, Field(ge=1)] = 4096
    max_parts: Annotated[int, Field(ge=1)] = 4096
    keep_alive_s: Seconds = 30
    cors_origins: tuple[Origin, ...] = ()
    keys_file: str | None = None
    dangerously_serve_without_keys: bool = False
    shared_store: Annotated[str, Field(pattern=r"^(memory|rediss?)://\S*$")] = "memory://"


class RouterReplicas(Replicas):
    """The replicas of the router, each of which takes many more requests than an engine.

    A node holds at most `max_per_node` of them, so that the loss of a node costs no more.
    Components are scaled by the rate of requests, counted over `rate_window_s`: a longer window
    follows chance less, and slow changes later. A rush shows in a sixth of the window. The router
    itself has no `capacity`, because it is scaled by the requests under way.
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
