"""Ids and hashes that need no database."""

import pytest

from blended.journal.identity import Identity

NOW = 1_790_000_000.123
IDENTITY = Identity("secret")


def test_an_id_carries_its_time() -> None:
    """Whoever has the secret reads a response's start from its id, to the millisecond."""
    nonce = IDENTITY.nonce(NOW, "web")

    assert len(nonce) == 32
    assert Identity("secret").started_at(f"chatcmpl-{nonce}", "web") == NOW
    assert Identity("secret").started_at(f"cmpl-{nonce}", "web") == NOW


def test_ids_sort_by_time_and_differ() -> None:
    """Of two ids the later sorts last, and ids of one moment differ."""
    assert IDENTITY.nonce(NOW, "web") < IDENTITY.nonce(NOW + 0.001, "web")
    assert len({IDENTITY.nonce(NOW, "web") for _ in range(1000)}) == 1000


@pytest.mark.parametrize(("secret", "key"), [("other", "web"), ("secret", "mobile")])
def test_an_id_of_somebody_else_is_unknown(secret: str, key: str) -> None:
    """Another deployment and another key never got it."""
    assert Identity(secret).started_at(f"chatcmpl-{IDENTITY.nonce(NOW, 'web')}", key) is None


@pytest.mark.parametrize("position", range(32))
def test_an_altered_id_is_unknown(position: int) -> None:
    """Every digit counts: a wrong one passes once in 2**32."""
    nonce = IDENTITY.nonce(NOW, "web")
    other = "1" if nonce[position] != "1" else "2"
    altered = f"cmpl-{nonce[:position]}{other}{nonce[position + 1 :]}"

    assert IDENTITY.started_at(altered, "web") is None


@pytest.mark.parametrize("name", ["", "chatcmpl-", "resp-1", "chatcmpl-" + "f" * 32 + "\n"])
def test_what_is_no_id_is_unknown(name: str) -> None:
    """Any other text is no response's id."""
    assert IDENTITY.started_at(name, "web") is None


def test_users_are_hashed() -> None:
    """The hash is the same for the same user, and says nothing without the secret."""
    assert IDENTITY.user("ada") == Identity("secret").user("ada") != Identity("other").user("ada")
    assert IDENTITY.user("ada") != IDENTITY.user("bob")
    assert len(IDENTITY.user("\ud800")) == 32
