"""Whose prefix cache a request meets, and who hears of it. Pure functions.

An engine's cache is met by every request with the same beginning, and usage says so: a client could
ask what others wrote. A salt, which becomes a part of the first block, keeps them apart.
"""

import hashlib
import hmac
import re

from blended.config import Api
from blended.router.access.keys import ANONYMOUS
from blended.router.blend import Upstream

_DETAILS_KEY = b'"prompt_tokens_details"'
_DETAILS = re.compile(_DETAILS_KEY + rb"\s*:\s*\{[^{}]*\}")
# As other APIs than OpenAI's call it.
_COUNTS_KEY = b"cache"
_COUNTS = re.compile(
    rb'("(?:cached_tokens|prompt_cache_(?:hit|miss)_tokens|cache_(?:read|creation)_input_tokens)")'
    rb"\s*:\s*[0-9.eE+-]+"
)


def salt(upstream: Upstream, api: Api, key_name: str, user: str | None) -> str | None:
    """The salt of a request, which nobody can guess who lacks the deployment's secret.

    None for a component that knows no salt, or where the cache is everybody's. A request that
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
    """Whether the cache of a component is one that nobody without the key can fill."""
    salted = upstream is not None and upstream.salt_secret is not None
    return salted and api.cache_salt != "none" and key_name != ANONYMOUS.name


def without_cached(document: bytes) -> bytes:
    """A JSON document, or whole SSE events, without how much of a prompt was cached.

    Quotes inside JSON texts are escaped, so that what is sought is never a part of one.
    """
    if _DETAILS_KEY in document:
        document = _DETAILS.sub(_DETAILS_KEY + b":null", document)
    if _COUNTS_KEY in document:
        document = _COUNTS.sub(rb"\1:null", document)
    return document
