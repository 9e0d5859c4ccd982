"""Which requests share a prefix cache, and which clients see its use. Pure functions.

Requests with the same beginning share an engine's cache, and usage reports it: a client could test
what others wrote. A salt, which becomes a part of the first block, separates the caches.
"""

import hashlib
import hmac
import re

from blended.config import Api
from blended.router.access.keys import ANONYMOUS
from blended.router.blend import Upstream

_DETAILS_KEY = b'"prompt_tokens_details"'
_DETAILS = re.compile(_DETAILS_KEY + rb"\s*:\s*\{[^{}]*\}")
# The names that other APIs use.
_COUNTS_KEY = b"cache"
_COUNTS = re.compile(
    rb'("(?:cached_tokens|prompt_cache_(?:hit|miss)_tokens|cache_(?:read|creation)_input_tokens)")'
    rb"\s*:\s*[0-9.eE+-]+"
)


def salt(upstream: Upstream, api: Api, key_name: str, user: str | None) -> str | None:
    """The salt of a request, which cannot be computed without the deployment's secret.

    None for a component that takes no salt, or with a cache that all requests share. A request that
    names no user shares the cache of its key.
    """
    if api.cache_salt == "none" or upstream.salt_secret is None:
        return None
    owner = ["user", key_name, user] if api.cache_salt == "user" and user else ["key", key_name]
    # Lengths keep ("ab", "c") and ("a", "bc") apart; texts may hold lone surrogates.
    parts = [part.encode("utf-8", "surrogatepass") for part in owner]
    message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.new(upstream.salt_secret.encode(), message, hashlib.sha256).hexdigest()


def is_own(upstream: Upstream | None, api: Api, key_name: str) -> bool:
    """Whether only requests with this key can fill the component's cache."""
    salted = upstream is not None and upstream.salt_secret is not None
    return salted and api.cache_salt != "none" and key_name != ANONYMOUS.name


def without_cached(document: bytes) -> bytes:
    """A JSON document, or whole SSE events, without the counts of cached tokens.

    Quotes inside JSON texts are escaped, so that these keys never match inside a text.
    """
    if _DETAILS_KEY in document:
        document = _DETAILS.sub(_DETAILS_KEY + b":null", document)
    if _COUNTS_KEY in document:
        document = _COUNTS.sub(rb"\1:null", document)
    return document
