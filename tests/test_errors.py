"""Errors cross Ray's processes and reach people."""

import pickle

import pytest

from blended.errors import ApiError, BlendedError, ConfigError, LaunchError


@pytest.mark.parametrize(
    "error",
    [
        BlendedError("a"),
        ConfigError("b"),
        LaunchError("c"),
        ApiError(503, "d", "code", "param", 7),
    ],
)
def test_errors_survive_pickling(error: BlendedError) -> None:
    """An error is the same on the other side of a process boundary."""
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_the_type_of_an_api_error_follows_from_its_status() -> None:
    """Below 500 the client is at fault, from 500 on the server."""
    assert ApiError(404, "x").body()["error"]["type"] == "invalid_request_error"
    assert ApiError(503, "x").body()["error"]["type"] == "server_error"
