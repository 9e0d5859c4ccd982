"""A reward model that fails costs no response: the first candidate is taken."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from blended.components.reward_model import RewardServer
from blended.journal.records import ResponseRecord
from tests.router.best_of import REWARD, choosing, quality
from tests.support import Rig, eventually, rig

TIMEOUT_MS = 100


async def _late(request: Request) -> Response:
    await asyncio.sleep(3600)
    return Response()


async def _full(request: Request) -> Response:
    return JSONResponse({"error": {"message": "full"}}, 429)


async def _gone(request: Request) -> Response:
    return JSONResponse({"error": {"message": "no such path"}}, 404)


async def _fewer(request: Request) -> Response:
    return JSONResponse({"model": "m", "data": [{"index": 0, "probs": [1.0]}]})


async def _no_number(request: Request) -> Response:
    rows = [{"index": i, "probs": ["NaN"]} for i in range(4)]
    return JSONResponse({"model": "m", "data": rows})


async def _no_json(request: Request) -> Response:
    return Response(b"<html>")


FAILURES = {
    "late": _late,
    "full": _full,
    "unavailable": _gone,
    "broken": _fewer,
    "broken: no number": _no_number,
    "broken: no JSON": _no_json,
}


async def _answered(r: Rig, stream: bool) -> tuple[Any, ResponseRecord]:
    before = len(r.records)
    response = await r.chat(stream=stream)
    await eventually(lambda: len(r.records) > before)
    return response, r.records[-1]


@pytest.mark.parametrize("failure", list(FAILURES))
async def test_without_scores_the_first_candidate_is_the_response(
    failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the reward model fails, the response is whole, and says what chose it."""

    async def answer(_: RewardServer, request: Request) -> Response:
        return await FAILURES[failure](request)

    monkeypatch.setattr(RewardServer, "_classify", answer)
    async with rig(choosing(reward=REWARD | {"timeout_ms": TIMEOUT_MS})) as r:
        for stream in (False, True):
            response, record = await _answered(r, stream)

            assert response.status_code == 200
            assert response.headers["x-blended-best-of"] == "4; chosen_by=first"
            assert record.state == "finished"
            found = record.candidates
            assert found is not None
            assert (found["chosen"], found["chosen_by"]) == (0, "first")
            assert found["reason"] == failure.partition(":")[0]
            assert (found["scores"], found["reward_version"]) == (None, None)
            assert quality(response, stream) is not None


async def test_equal_candidates_are_not_scored() -> None:
    """There is nothing to choose, and nothing to wait for."""
    async with rig(choosing(simulation={"quality": False, "tokens": 1})) as r:
        _, record = await _answered(r, False)

        assert record.candidates is not None
        assert (record.candidates["chosen_by"], record.candidates["reason"]) == ("first", "equal")
        assert r.reward is not None
        assert r.reward.answered == 0


async def test_a_client_that_leaves_ends_candidates_and_scoring() -> None:
    """Nobody waits for them any more."""
    slow = {"tokens": 1, "ttft_ms": 200, "jitter": 0}
    async with rig(choosing(simulation=slow)) as r:
        asked = asyncio.create_task(r.chat())
        await eventually(lambda: r.components["a"].running == 4)
        asked.cancel()
        await eventually(lambda: r.components["a"].cancelled == 4)
        await eventually(lambda: len(r.records) == 1)

        assert r.records[0].state == "cancelled"
        assert r.records[0].candidates is None
        assert r.reward is not None
        assert r.reward.answered == 0


async def test_a_component_that_fails_is_replaced_with_new_candidates() -> None:
    """A redraw asks the other component for as many."""
    async with rig(choosing("a", "b")) as r:

        async def fails(request: Request, kind: str) -> Any:
            return JSONResponse({"error": {"message": "no"}}, 500)

        r.components["a"]._respond = fails  # type: ignore[method-assign]
        for _ in range(8):
            _, record = await _answered(r, False)
            assert record.component == "b"
            assert record.candidates is not None
        assert r.components["b"].finished == 4 * 8
