"""A member's complaint, as a client sees it."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from blended.router.complaints import REMOVED, is_about_account, without_secrets
from tests.support import ENVIRON, remote_blend, rig, serving

KEY = ENVIRON["REMOTE_KEY"]


@asynccontextmanager
async def refused(
    status: int, error: Mapping[str, Any], stream: bool = False
) -> AsyncIterator[Any]:
    """Send a request to a router whose only member answers with this error."""

    async def member(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(b"content-type", b"application/json")]
            body = json.dumps({"error": error}).encode()
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async with serving(member) as url, rig(remote_blend(f"{url}/v1")) as r:
        yield await r.chat(stream=stream)


def message(response: httpx.Response) -> str:
    text: str = response.json()["error"]["message"]
    return text


@pytest.mark.parametrize("stream", [False, True])
async def test_the_key_of_a_member_reaches_no_client(stream: bool, caplog: Any) -> None:
    """Nor does it reach the log, wherever the member quotes it."""
    caplog.set_level(logging.DEBUG)
    error = {"message": f"no '{KEY}' in field, see {KEY}", "param": KEY}
    async with refused(400, error, stream) as response:
        assert response.status_code == 400
        assert KEY not in response.text
        assert message(response) == f"no '{REMOVED}' in field, see {REMOVED}"
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "Your credit balance is too low to access the API.",
        "You exceeded your current quota, please check your plan and billing details.",
        "Organization org-AbC123def456 has no access.",
        "Incorrect API key provided: sk-abcd1234****wxyz.",
        "This workspace has reached its spending limit.",
    ],
)
async def test_texts_about_accounts_are_the_blends_own(text: str, caplog: Any) -> None:
    """The client's message names the blend's model; only the log has the member's words."""
    async with refused(400, {"message": text, "param": "model"}) as response:
        shown = message(response)

    assert response.status_code == 400
    assert "'blend'" in shown
    assert text not in shown
    assert "upstream-model" not in shown
    assert "a member speaks of its account" in caplog.text
    assert "sk-abcd" not in caplog.text


async def test_a_member_that_wants_to_be_paid_is_out_of_the_question() -> None:
    """402 concerns the operator: another component is asked, or the client gets 503."""
    async with refused(402, {"message": "Payment required for acct_1234567"}) as response:
        assert response.status_code == 503
        assert "acct" not in response.text


async def test_the_log_has_the_words_of_a_member_without_its_secrets(caplog: Any) -> None:
    """The operator has to know why a member refuses."""
    async with refused(400, {"message": f"Your credit balance is too low. {KEY}"}) as response:
        assert response.status_code == 503
        assert "credit" not in response.text
    assert "credit balance is too low" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(("code", "status"), [(400, 400), (402, 503), (500, 502), (None, 502)])
async def test_an_error_under_status_200_is_an_error(code: int | None, status: int) -> None:
    """Some APIs answer 200 with an error in the document: its code decides."""
    async with refused(200, {"message": f"Bearer {KEY}", "code": code}) as response:
        assert response.status_code == status
        assert KEY not in response.text


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-Ab12Cd34Ef56Gh78",
        "sk-ant-api03-xyz123456789",
        "sk-ab***********wxyz",
        "gsk_0123456789abcdef",
        "AIzaSyA1234567890abcdefg",
        "AKIAIOSFODNN7EXAMPLE",
        "hf_AbCdEf1234567890",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc123",
        "Bearer abcdefgh",
        "user:hunter2",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(secret: str) -> None:
    """Keys in the usual APIs' forms are removed from sentences and addresses."""
    text = f"https://{secret}@host" if ":" in secret else f"The header was {secret}, which is bad."

    assert secret not in without_secrets(text, [])
    assert REMOVED in without_secrets(text, [])


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 1024 tokens.",
        "top_p must be in (0, 1], got 5.",
        "'messages[0].content' is missing; key 'content' is required.",
        "skip_special_tokens is not a boolean.",
        "Invalid type for 'messages[3].tool_calls[0].function': expected an object.",
        "The token 'x' is not in the vocabulary.",
    ],
)
def test_ordinary_complaints_stay_as_they_are(text: str) -> None:
    """A complaint about the request keeps the member's words."""
    assert without_secrets(text, ["remote-key"]) == text
    assert not is_about_account(text)
