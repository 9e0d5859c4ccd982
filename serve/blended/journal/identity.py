"""Response ids that a router can check by themselves, and hashes of users; all keyed by one secret.

A response's id contains its time and is signed, so that any router replica can tell without a
look-up whether feedback is on a real response.
"""

import hashlib
import re
import secrets

SECRET_ENV = "BLENDED_JOURNAL_SECRET"

_ID = re.compile(
    r"(?P<prefix>chatcmpl|cmpl|resp|msg)-(?P<time>[0-9a-f]{12})(?P<random>[0-9a-f]{12})(?P<mac>[0-9a-f]{8})"
)


class Identity:
    """Signs and hashes with the deployment's secret: everywhere the same, and never changed."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.blake2b(secret.encode(), digest_size=32).digest()

    def response_id(self, prefix: str, started_at: float, key_name: str) -> str:
        """A new id, a prefix of `_ID` and 32 hexadecimal digits, for a request of that key.

        The digits are the time in milliseconds (so that ids sort by time), 48 random bits, and 32
        bits of a signature that covers the prefix and the key's name.
        """
        stem = f"{prefix}-{round(started_at * 1e3):012x}{secrets.token_hex(6)}"
        return stem + self._mac(stem, key_name)

    def started_at(self, response_id: str, key_name: str) -> float | None:
        """When the response started, in Unix seconds; None if this key never got this id."""
        found = _ID.fullmatch(response_id)
        if found is None or not secrets.compare_digest(
            self._mac(response_id.removesuffix(found["mac"]), key_name), found["mac"]
        ):
            return None
        return int(found["time"], 16) / 1e3

    def user(self, name: str) -> str:
        """A user's pseudonym in the journal: equal for equal names, and not reversible."""
        return self._digest("user", name, size=16)

    def _mac(self, stem: str, key_name: str) -> str:
        return self._digest("response", f"{stem} {key_name}", size=4)

    def _digest(self, purpose: str, text: str, size: int) -> str:
        message = f"{purpose} {text}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(message, digest_size=size, key=self._key).hexdigest()
