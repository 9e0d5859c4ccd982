"""One request to be sent byte by byte, and how its client behaves; a seed gives the same case."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from tests.fuzz import bodies

Client = Literal[
    "stays",  # reads the response to its end
    "slow",  # reads it a little at a time
    "trickles",  # sends the request a little at a time
    "half_closes",  # sends its end right after the request, and reads
    "leaves",  # closes once it has read `reads_bytes` of the response
    "resets",  # likewise, with a reset instead of an orderly end
]

# Long enough that a generation which goes on without its client is still seen after the run.
LONG_TOKENS = 2048


@dataclass(frozen=True)
class Target:
    """Whom to ask: the model of the blend, and the key."""

    host: str
    port: int
    key: str
    model: str


@dataclass(frozen=True)
class Case:
    """What is sent and what may come of it.

    Unless `sound`, the HTTP itself is wrong or unusual, so that a proxy in front may answer or
    close instead of the router. `responses` is how many are awaited.
    """

    kind: str
    request: bytes
    client: Client = "stays"
    reads_bytes: int = 0
    method: str = "POST"
    sound: bool = True
    responses: int = 1


Headers = dict[str, str | bytes]


def draw(seed: int, target: Target) -> Case:
    """The case of a seed."""
    rng = Random(seed)
    kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    return replace(_MAKERS[kind](rng, target), kind=kind)


def _post(
    target: Target, body: bytes, headers: Mapping[str, str | bytes] | None = None, path: str = ""
) -> bytes:
    given: Headers = {"content-length": str(len(body)), **(headers or {})}
    return _request("POST", path or "/v1/chat/completions", target, given) + body


def _request(method: str, path: str, target: Target, headers: Mapping[str, str | bytes]) -> bytes:
    """The head of a request; an empty header is left out."""
    usual: Headers = {
        "host": f"{target.host}:{target.port}",
        "authorization": f"Bearer {target.key}",
        "content-type": "application/json",
        "connection": "close",
    }
    lines = [f"{method} {path} HTTP/1.1".encode("latin-1")]
    for name, value in (usual | dict(headers)).items():
        if value:
            raw = value if isinstance(value, bytes) else value.encode("latin-1")
            lines.append(name.encode("latin-1") + b": " + raw)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _chat(rng: Random, target: Target, stream: bool | None = None) -> bodies.Json:
    return bodies.chat(rng, target.model, stream)


def _valid(rng: Random, target: Target) -> Case:
    if rng.random() < 0.2:
        body = bodies.encoded({"model": target.model, "prompt": "Once", "max_tokens": 5})
        return Case("", _post(target, body, path="/v1/completions"))
    return Case("", _post(target, bodies.encoded(_chat(rng, target))))


def _types(rng: Random, target: Target) -> Case:
    body = bodies.mutated(rng, _chat(rng, target))
    path = rng.choice(("/v1/chat/completions", "/v1/chat/completions", "/v1/completions"))
    return Case("", _post(target, bodies.encoded(body), path=path))


def _client_apis(rng: Random, target: Target) -> Case:
    """The Responses and Messages APIs, sound and with odd values."""
    body = _chat(rng, target)
    path = rng.choice(("/v1/responses", "/v1/messages", "/v1/messages/count_tokens"))
    if path == "/v1/responses":
        body = {"input" if k == "messages" else k: v for k, v in body.items() if k != "max_tokens"}
    if rng.random() < 0.7:
        body = bodies.mutated(rng, body)
    return Case("", _post(target, bodies.encoded(body), path=path))


def _fields(rng: Random, target: Target) -> Case:
    body = bodies.with_field(rng, _chat(rng, target))
    path = rng.choice(("/v1/chat/completions", "/v1/chat/completions", "/v1/completions"))
    if "chat" not in path:
        body = {"prompt": "Once"} | body
    return Case("", _post(target, bodies.encoded(body), path=path))


def _crowded(rng: Random, target: Target) -> Case:
    return Case("", _post(target, bodies.crowded(rng, _chat(rng, target))))


def _tools(rng: Random, target: Target) -> Case:
    return Case("", _post(target, bodies.encoded(bodies.odd_tools(rng, _chat(rng, target)))))


def _nested(rng: Random, target: Target) -> Case:
    return Case("", _post(target, bodies.nested(rng, _chat(rng, target))))


def _duplicated(rng: Random, target: Target) -> Case:
    return Case("", _post(target, bodies.duplicated(rng, _chat(rng, target))))


def _damaged(rng: Random, target: Target) -> Case:
    body = bodies.damaged(rng, bodies.encoded(_chat(rng, target)))
    # A proxy may refuse to forward a POST whose length is 0 in one form but not in another.
    return Case("", _post(target, body))


def _large(rng: Random, target: Target) -> Case:
    size = rng.choice((100_000, 1_000_000, bodies.TOO_LARGE_BYTES - 1, bodies.TOO_LARGE_BYTES))
    return Case("", _post(target, bodies.padded(rng, _chat(rng, target), size)))


def _keys(rng: Random, target: Target) -> Case:
    """No key, a wrong one, or the right one written oddly."""
    odd = ("", "Bearer", "Bearer ", "Basic eDp5", f"bearer  {target.key}", f"Bearer {target.key} x")
    raw = (b"Bearer \xff\xfe", b"Bearer " + "Schlüssel".encode(), b"Bearer " + b"k" * 4000)
    body = bodies.encoded(_chat(rng, target))
    return Case("", _post(target, body, {"authorization": rng.choice((*odd, *raw))}))


def _names(rng: Random, target: Target) -> Case:
    """Odd names of the conversation and of the request."""
    name = rng.choice(("x-conversation-id", "idempotency-key", "x-request-id", "x-session-id"))
    value = rng.choice(
        (b"\xff\xfe", b"a" * 4000, "Gespräch".encode(), b"a,b;c", b"\t", b'"', b"%00", b"0", b"{}")
    )
    return Case("", _post(target, bodies.encoded(_chat(rng, target)), {name: value}))


def _content(rng: Random, target: Target) -> Case:
    """Odd content types and encodings; the router reads JSON whatever they say."""
    headers = rng.choice(
        (
            {"content-type": ""},
            {"content-type": "text/plain"},
            {"content-type": "multipart/form-data; boundary=x"},
            {"content-encoding": "gzip"},
            {"accept-encoding": "br, gzip"},
            {"accept": "text/html"},
            {"x-forwarded-for": "1.2.3.4, 5.6.7.8"},
            {"cookie": "a=b; " * 200},
            {"connection": "close, authorization"},
            {"expect": "100-continue"},
        )
    )
    return Case("", _post(target, bodies.encoded(_chat(rng, target)), headers))


def _paths(rng: Random, target: Target) -> Case:
    """Paths and methods that the API has, nearly has, or does not have."""
    paths = (
        "/v1/models",
        "/v1/models/",
        f"/v1/models/{target.model}",
        "/v1/models/%ED%A0%80",
        "/v1/models/%00",
        "/v1/models/a%2Fb",
        f"/v1/models/{'m' * 3000}",
        "/v1/chat/completions/",
        "/v1/chat/completions?x=" + "y" * 3000,
        "/v1//chat/completions",
        "/V1/MODELS",
        "/v1/embeddings",
        "/healthz",
        "/health",
        "/ping",
        "/version",
        "/v1/records/chatcmpl-1",
        "/v1/responses/chatcmpl-1",
        "/chat/completions",
        "/v1/v1/models",
        "/openapi.json",
        "/",
        "/docs",
    )
    method = rng.choice(("GET", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "POST", "BREW"))
    headers: Headers = {"content-length": "0", "connection": "close"}
    request = _request(method, rng.choice(paths), target, headers)
    return Case("", request, method=method, sound=method != "BREW")  # no parser knows it


def _framing(rng: Random, target: Target) -> Case:
    """Lengths and codings that contradict each other or the body, then the end of the client."""
    body = bodies.encoded(_chat(rng, target))
    chunks = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    chunked: Headers = {"transfer-encoding": "chunked", "content-length": ""}
    length = str(len(body))
    request = rng.choice(
        (
            _post(target, body, {"content-length": str(len(body) + rng.randrange(1, 99))}),
            _post(target, body, {"content-length": str(rng.randrange(len(body)))}),
            _post(target, body, {"content-length": rng.choice(("-1", "1e3", "0x10", "9" * 30))}),
            _post(target, body, {"content-length": ""}),
            _post(target, body, {"content-length": f"{length}\r\ncontent-length: 1"}),
            _post(target, chunks, chunked),
            _post(target, chunks[: rng.randrange(len(chunks))], chunked),
            _post(target, chunks.replace(b"\r\n", b"\n"), chunked),
            _post(target, b"zz\r\n" + chunks, chunked),
            _post(target, b"f" * 20 + b"\r\n" + chunks, chunked),
            _post(target, chunks, chunked | {"transfer-encoding": "gzip, chunked"}),
            _post(target, chunks, chunked | {"transfer-encoding": "x"}),
            _post(target, chunks, {"transfer-encoding": "chunked", "content-length": length}),
        )
    )
    return Case("", request, client="half_closes", sound=False)


def _heads(rng: Random, target: Target) -> Case:
    """Request lines and headers that are wrong, unusual or longer than a proxy takes."""
    body = bodies.encoded(_chat(rng, target))
    usual = _post(target, body)
    many = {f"x-odd-{i}": "v" for i in range(rng.choice((120, 2000)))}
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    request = rng.choice(
        (
            _post(target, body, {"x-odd": b"\x00\x01\x7f"}),
            _post(target, body, {"x-odd": "v" * rng.choice((20_000, 70_000, 300_000))}),
            _post(target, body, {"authorization": b"Bearer " + b"k" * 70_000}),
            _post(target, body, many),
            _post(target, body, {"x odd": "v"}),
            _post(target, body, {"host": ""}),
            _post(target, body, {"host": "a b"}),
            _post(target, body, upgrade),
            _request("GET", "/v1/models", target, upgrade | {"sec-websocket-key": "eA=="}),
            usual.replace(b"HTTP/1.1", rng.choice((b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"")), 1),
            usual.replace(b"/v1", rng.choice((b"v1", b"http://x/v1", b"*", b"/\x00", b"/ ")), 1),
            usual.replace(b"POST", rng.choice((b"CONNECT", b"TRACE", b"post", b"P\x00ST", b"")), 1),
            usual.replace(b"\r\n", b"\n"),
            usual.replace(b": ", b" : ", 3),
            usual[: rng.randrange(len(usual) - len(body))],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500),
            rng.randbytes(rng.randrange(1, 2000)),
        )
    )
    return Case("", request, client="half_closes", sound=False)


def _pipelined(rng: Random, target: Target) -> Case:
    """Two requests on one connection, the second sent before the first is answered."""
    one, two = (bodies.encoded(_chat(rng, target)) for _ in range(2))
    first = _post(target, one, {"connection": "keep-alive"})
    return Case("", first + _post(target, two), responses=2)


def _broken_request(rng: Random, target: Target) -> Case:
    """The client leaves in the middle of its request."""
    request = _post(target, bodies.encoded(_long(rng, target)))
    cut = request[: rng.randrange(1, len(request))]
    return Case("", cut, client=_end(rng), sound=False)


def _left_at_once(rng: Random, target: Target) -> Case:
    """The client leaves as soon as its request is sent."""
    return Case("", _post(target, bodies.encoded(_long(rng, target))), client=_end(rng))


def _left_at_first_byte(rng: Random, target: Target) -> Case:
    body = _long(rng, target) | {"stream": True}
    return Case("", _post(target, bodies.encoded(body)), client=_end(rng), reads_bytes=1)


def _left_in_mid_stream(rng: Random, target: Target) -> Case:
    body = _long(rng, target) | {"stream": True}
    reads = rng.randrange(500, 20_000)
    return Case("", _post(target, bodies.encoded(body)), client=_end(rng), reads_bytes=reads)


def _half_closed(rng: Random, target: Target) -> Case:
    """A proxy may take a half-closed connection for a client that has left."""
    body = bodies.encoded(_chat(rng, target))
    return Case("", _post(target, body), client="half_closes", sound=False)


def _slow_reader(rng: Random, target: Target) -> Case:
    body = bodies.encoded(_chat(rng, target, stream=True) | {"max_tokens": 200})
    return Case("", _post(target, body), client="slow")


def _slow_writer(rng: Random, target: Target) -> Case:
    return Case("", _post(target, bodies.encoded(_chat(rng, target))), client="trickles")


def _long(rng: Random, target: Target) -> bodies.Json:
    return _chat(rng, target) | {"max_tokens": LONG_TOKENS}


def _end(rng: Random) -> Client:
    return rng.choice(("leaves", "resets"))


_KINDS: dict[str, tuple[float, Callable[[Random, Target], Case]]] = {
    "valid": (10, _valid),
    "body/types": (20, _types),
    "body/fields": (20, _fields),
    "body/client_apis": (10, _client_apis),
    "body/crowded": (1, _crowded),
    "body/tools": (5, _tools),
    "body/nested": (5, _nested),
    "body/duplicated": (4, _duplicated),
    "body/damaged": (8, _damaged),
    "body/large": (1, _large),
    "headers/keys": (4, _keys),
    "headers/names": (5, _names),
    "headers/content": (5, _content),
    "http/paths": (8, _paths),
    "http/framing": (8, _framing),
    "http/heads": (8, _heads),
    "http/pipelined": (2, _pipelined),
    "client/breaks_its_request": (4, _broken_request),
    "client/leaves_at_once": (4, _left_at_once),
    "client/leaves_at_first_byte": (4, _left_at_first_byte),
    "client/leaves_in_mid_stream": (4, _left_in_mid_stream),
    "client/half_closes": (3, _half_closed),
    "client/reads_slowly": (2, _slow_reader),
    "client/writes_slowly": (2, _slow_writer),
}
_WEIGHTS = {kind: weight for kind, (weight, _) in _KINDS.items()}
_MAKERS = {kind: maker for kind, (_, maker) in _KINDS.items()}
