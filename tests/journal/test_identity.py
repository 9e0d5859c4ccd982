"""Ids and hashes that need no database."""

import pytest

from blended.journal.identity import Identity

NOW = 1_790_000_000.123
IDENTITY = Identity("secret")


def new_id(prefix: str = "chatcmpl", at: float = NOW, key: str = "web") -> str:
    return IDENTITY.response_id(prefix, at, key)


@pytest.mark.parametrize("prefix", ["chatcmpl", "cmpl", "resp", "msg"])
def test_an_id_carries_its_time(prefix: str) -> None:
    """The same secret reads a response's start from its id, to the millisecond."""
    response_id = new_id(prefix)

    assert len(response_id) == len(prefix) + 1 + 32
    assert Identity("secret").started_at(response_id, "web") == NOW


def test_ids_sort_by_time_and_differ() -> None:
    """Of two ids the later sorts last, and ids of one moment differ."""
    assert new_id() < new_id(at=NOW + 0.001)
    assert len({new_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(("secret", "key"), [("other", "web"), ("secret", "mobile")])
def test_an_id_of_somebody_else_is_unknown(secret: str, key: str) -> None:
    """Another deployment and another key never got it."""
    assert Identity(secret).started_at(new_id(), key) is None


@pytest.mark.parametrize("position", range(32))
def test_an_altered_id_is_unknown(position: int) -> None:
    """Every digit counts: a wrong one passes once in 2**32."""
    prefix, _, digits = new_id().partition("-")
    other = "1" if digits[position] != "1" else "2"
    altered = f"{prefix}-{digits[:position]}{other}{digits[position + 1 :]}"

    assert IDENTITY.started_at(altered, "web") is None


@pytest.mark.parametrize("form", ["{}\n", "{}\r\n", " {}", "{} ", "{}\0", "x{}", "{}/"])
def test_an_id_has_one_form(form: str) -> None:
    """With anything before or after it, a line feed included, it is no response's id."""
    assert IDENTITY.started_at(form.format(new_id()), "web") is None


def test_the_prefix_is_signed() -> None:
    """A chat's id is unknown as a completion's, and the other way round."""
    chat, completion = new_id("chatcmpl"), new_id("cmpl")

    assert IDENTITY.started_at(chat.removeprefix("chat"), "web") is None
    assert IDENTITY.started_at(f"chat{completion}", "web") is None


@pytest.mark.parametrize("name", ["", "chatcmpl-", "resp-1", "chatcmpl-" + "f" * 32 + "\n"])
def test_what_is_no_id_is_unknown(name: str) -> None:
    """Any other text is no response's id."""
    assert IDENTITY.started_at(name, "web") is None


def test_users_are_hashed() -> None:
    """The hash is the same for the same user, and says nothing without the secret."""
    assert IDENTITY.user("ada") == Identity("secret").user("ada") != Identity("other").user("ada")
    assert IDENTITY.user("ada") != IDENTITY.user("bob")
    assert len(IDENTITY.user("\ud800")) == 32
