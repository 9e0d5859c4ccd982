"""Work on large bodies runs beside the event loop, so that other requests are answered."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blended.router import api, requests
from blended.router.body import aside
from blended.router.history import legal_form
from tests.journal.journals import journal
from tests.support import blend, rig

LARGE = [{"role": "user", "content": "word " * 100_000}]


async def test_others_go_on_while_a_large_body_is_worked_on() -> None:
    """This work ends once another task has run, which would never happen on the event loop."""
    released = threading.Event()
    asyncio.get_running_loop().call_soon(released.set)

    assert await aside(2**20, lambda: released.wait(10))


async def test_small_bodies_are_worked_on_at_once() -> None:
    """For a small body a thread would cost more than it saves other requests."""
    here = threading.current_thread()

    assert await aside(2**10, threading.current_thread) is here


@pytest.mark.parametrize(("messages", "is_aside"), [(LARGE, True), (LARGE[:0], False)])
async def test_all_that_takes_long_is_done_aside(
    messages: list[Any], is_aside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsing, the history's legal form and the record: each traverses the whole body."""
    seen = dict[str, bool]()
    loop_thread = threading.current_thread()

    def watched(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **more: Any) -> Any:
            seen[name] = threading.current_thread() is not loop_thread
            return work(*arguments, **more)

        return run

    for place, name in ((requests, "parse"), (legal_form, "legal"), (api, "response_record")):
        monkeypatch.setattr(place, name, watched(name, getattr(place, name)))
    with journal(tmp_path, keep_content=True) as kept:
        async with rig(blend("a"), kept) as r:
            response = await r.chat(messages=[*messages, {"role": "user", "content": "Hello!"}])

    assert response.status_code == 200
    assert seen == dict.fromkeys(("parse", "legal", "response_record"), is_aside)
