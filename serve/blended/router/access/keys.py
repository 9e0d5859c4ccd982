"""Clients' API keys: which keys may call the router, checked by their hashes.

Keys are long random strings, not passwords, so that one fast SHA-256 cannot be guessed.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from blended.config import Api
from blended.errors import ApiError, ConfigError
from blended.router.access import keys_file
from blended.router.access.credentials import WAYS
from blended.router.blend import CLIENT_KEY_ENV

logger = logging.getLogger(__name__)

_CHECK_EVERY_S = 1


@dataclass(frozen=True)
class Key:
    """A client's key: a name for limits and logs, never the secret. None means no limit, no end."""

    name: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    expires: datetime | None = None


# The key of all clients of an API that needs no key.
ANONYMOUS = Key("anonymous")


class Keys(Protocol):
    """Decides which clients may call the API."""

    def find(self, carried: Collection[bytes]) -> Key:
        """The key of a request that carries these secrets.

        Raises:
            ApiError: 401, the key is missing, unknown or expired, or there are several.
        """


class OpenKeys:
    """Accepts all clients under the key `anonymous`, which has no limits."""

    def find(self, carried: Collection[bytes]) -> Key:
        """The same key for every secret."""
        return ANONYMOUS


class KeyRing:
    """Keys from a file, one plain key with the name `default`, or both.

    The file is checked once a second at most, and read again when it has changed. While it is bad
    or missing the earlier keys stay valid, so that a wrong edit locks no client out. `clock` gives
    seconds since the epoch.

    Raises:
        ConfigError: the file is bad or missing from the start.
    """

    def __init__(
        self,
        path: str | None = None,
        plain_key: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._plain = {_digest(plain_key.encode()): _DEFAULT} if plain_key else {}
        self._clock = clock
        self._checked_at = clock()
        self._seen = _signature(path)
        self._keys = self._read()

    def find(self, carried: Collection[bytes]) -> Key:
        """See `Keys`. The lookup time of a digest reveals nothing about the keys."""
        now = self._clock()
        self._refresh(now)
        # A choice between two keys would charge one of them for the other's request.
        if len(carried) > 1:
            message = f"The request carries several keys; send one, as {WAYS}."
            raise ApiError(401, message, "invalid_api_key")
        key = next((self._keys.get(_digest(secret)) for secret in carried), None)
        if key is None:
            raise ApiError(401, f"No valid API key; send it as {WAYS}.", "invalid_api_key")
        if key.expires is not None and key.expires.timestamp() <= now:
            message = f"The API key '{key.name}' expired at {key.expires}; ask for a new one."
            raise ApiError(401, message, "invalid_api_key")
        return key

    def _refresh(self, now: float) -> None:
        # The lower bound matters when the clock is set back.
        if self._path is None or 0 <= now - self._checked_at < _CHECK_EVERY_S:
            return
        self._checked_at = now
        signature = _signature(self._path)
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._keys = self._read()
        except ConfigError as exc:
            logger.error("The keys read before stay valid. %s", exc)
            return
        logger.info("read %d API keys from '%s'", len(self._keys), self._path)

    def _read(self) -> Mapping[bytes, Key]:
        entries = () if self._path is None else keys_file.read(self._path)
        return self._plain | {bytes.fromhex(entry.sha256): _key(entry) for entry in entries}


def key_ring(api: Api, environ: Mapping[str, str], clock: Callable[[], float] = time.time) -> Keys:
    """The keys that a configuration and the environment give.

    Raises:
        ConfigError: the file is bad, or there is no key and the configuration does not allow that.
    """
    if api.dangerously_serve_without_keys:
        if api.keys_file is not None:
            raise ConfigError(
                "api.dangerously_serve_without_keys contradicts api.keys_file; remove one of them."
            )
        logger.warning("The API serves everybody: api.dangerously_serve_without_keys is set.")
        return OpenKeys()
    plain_key = environ.get(CLIENT_KEY_ENV)
    if not plain_key and api.keys_file is None:
        raise ConfigError(
            "There are no API keys: neither api.keys_file nor the environment variable "
            f"{CLIENT_KEY_ENV} of the router is set; the router does not serve without keys."
        )
    return KeyRing(api.keys_file, plain_key, clock)


def _key(entry: keys_file.KeyEntry) -> Key:
    return Key(entry.name, entry.requests_per_minute, entry.tokens_per_minute, entry.expires)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _signature(path: str | None) -> tuple[int, int, int] | None:
    """Values that change with the file; a mounted secret changes by a link to another inode."""
    if path is None:
        return None
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


_DEFAULT = Key("default")
