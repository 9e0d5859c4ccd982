"""Numbers that look random and depend only on the texts they are computed from."""

import hashlib


def unit_interval(key: str, *parts: str) -> float:
    """A number in [0, 1), uniform over the parts: the first 53 bits of their keyed BLAKE2b.

    A double holds 53 bits exactly.
    """
    hashed = hashlib.blake2b(_encode(key), digest_size=32).digest()
    # Lengths keep ("ab", "c") and ("a", "bc") apart.
    encoded = map(_encode, parts)
    message = b"".join(len(part).to_bytes(8, "big") + part for part in encoded)
    digest = hashlib.blake2b(message, digest_size=8, key=hashed).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def _encode(text: str) -> bytes:
    # JSON may carry lone surrogates, which strict UTF-8 refuses.
    return text.encode("utf-8", "surrogatepass")
