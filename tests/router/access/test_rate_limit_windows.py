"""The rest of a limit, and when it grows, from the counts of two windows."""

import pickle
import random

import pytest

from blended.errors import ConfigError
from blended.router.access.rate_limits import RateLimited, Window, duration
from blended.router.shared_store import SharedStore


@pytest.mark.parametrize(
    ("window", "remaining", "resets_in_s", "opens_in_s"),
    [
        (Window(10, 0, 0, 0, 0), 10, 0, 0),
        (Window(10, 0, 0, 4, 75), 6, 75, 0),
        (Window(10, 8, 30, 0, 90), 6, 30, 0),
        (Window(10, 8, 30, 4, 90), 2, 90, 0),
        (Window(10, 0, 0, 10, 75), 0, 75, 15),
        (Window(10, 8, 45, 6, 105), 0, 105, 15),
        (Window(10, 10, 60, 0, 120), 0, 60, 0),
        (Window(10, 0, 0, 40, 75), 0, 75, 60),
        (Window(10, 40, 45, 0, 105), 0, 45, 30),
    ],
)
def test_a_window_says_what_remains_and_when(
    window: Window, remaining: int, resets_in_s: float, opens_in_s: float
) -> None:
    """The previous count fades evenly; the current one does when a minute of it is left."""
    assert window.remaining == remaining
    assert window.resets_in_s == pytest.approx(resets_in_s)
    assert window.opens_in_s == pytest.approx(opens_in_s)


def test_waiting_as_long_as_told_is_enough_and_needed() -> None:
    """In random windows nothing remains a moment before that time, and something a moment after."""
    rng = random.Random(20)
    full = 0
    for _ in range(2000):
        limit, left_s = rng.randint(1, 50), rng.uniform(0.1, 60)
        window = Window(limit, rng.randint(0, 150), left_s, rng.randint(0, 150), left_s + 60)
        wait_s = window.opens_in_s
        if window.remaining:
            assert wait_s == 0
            continue
        full += 1
        assert after(window, wait_s + 1e-6).remaining > 0
        assert wait_s < 1e-6 or after(window, wait_s - 1e-6).remaining == 0
    assert full > 500


def after(window: Window, seconds: float) -> Window:
    """The window once `seconds` have passed without use."""
    left_s = window.current_ttl_s - seconds
    if left_s > 60:
        return Window(window.limit, window.previous, left_s - 60, window.current, left_s)
    return Window(window.limit, window.current, left_s, 0, left_s + 60)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.2, "1s"), (59, "59s"), (59.1, "1m0s"), (90, "1m30s"), (360, "6m0s")],
)
def test_durations_are_written_as_openai_does(seconds: float, text: str) -> None:
    """Minutes and whole seconds, rounded up."""
    assert duration(seconds) == text


@pytest.mark.parametrize("url", ["redis://:hunter2@host:port", "redis://:hunter2@host/db?db=x"])
def test_a_bad_address_is_an_error_without_its_password(url: str) -> None:
    """It is raised at the start, not at the first request."""
    with pytest.raises(ConfigError, match=r"api\.shared_store") as caught:
        SharedStore(url)

    assert "hunter2" not in str(caught.value)


def test_a_refusal_survives_pickling() -> None:
    """The error is the same on the other side of a process boundary."""
    error = RateLimited("Wait.", 7, {"x-ratelimit-limit-requests": "3"})
    copy = pickle.loads(pickle.dumps(error))

    assert vars(copy) == vars(error)
    assert (type(copy), str(copy)) == (RateLimited, "Wait.")
