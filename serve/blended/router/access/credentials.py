"""The keys that a request carries, in the headers of OpenAI's, Anthropic's and Azure's clients."""

from collections.abc import Iterable

WAYS = "'Authorization: Bearer KEY', 'x-api-key: KEY' or 'api-key: KEY'"
_BARE = (b"x-api-key", b"api-key")


def carried(headers: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    """The different keys in ASGI headers; an Authorization of another scheme carries none."""
    keys = set()
    for name, value in headers:
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                keys.add(key)
        elif name in _BARE:
            keys.add(value)
    return keys - {b""}
