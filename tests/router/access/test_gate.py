"""The ways to send a key, and the pages that may call from a browser, at the router's door."""

import httpx
import pytest

from blended.config.loading import load
from tests.support import CLIENT_KEY, HELLO, Rig, blend, rig

BODY = {"model": "blend", "messages": HELLO}
BEARER = ("Authorization", f"Bearer {CLIENT_KEY}")


async def asked(r: Rig, *headers: tuple[str, str]) -> httpx.Response:
    """What a client without a key of its own gets that sends these headers."""
    async with httpx.AsyncClient(base_url=r.url) as stranger:
        return await stranger.post("/v1/chat/completions", json=BODY, headers=list(headers))


@pytest.mark.parametrize(
    "headers",
    [
        [BEARER],
        [("Authorization", f"bearer {CLIENT_KEY}")],
        [("x-api-key", CLIENT_KEY)],
        [("api-key", CLIENT_KEY)],
        [BEARER, ("X-Api-Key", CLIENT_KEY), ("Api-Key", CLIENT_KEY)],
        [("Authorization", "Basic dXNlcjpwdw=="), ("x-api-key", CLIENT_KEY)],
        [BEARER, ("x-api-key", "")],
    ],
)
async def test_a_key_comes_in_any_of_three_headers(headers: list[tuple[str, str]]) -> None:
    """Those of OpenAI's, Anthropic's and Azure's clients; the same key may come twice."""
    async with rig(blend("a")) as r:
        assert (await asked(r, *headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [BEARER, ("x-api-key", "another")],
        [("x-api-key", "another"), ("api-key", CLIENT_KEY)],
        [BEARER, ("Authorization", "Bearer another")],
        [("x-api-key", "another"), ("x-api-key", CLIENT_KEY)],
    ],
)
async def test_keys_that_differ_are_refused(headers: list[tuple[str, str]]) -> None:
    """Neither decides, not even where only one of them is valid."""
    async with rig(blend("a")) as r:
        response = await asked(r, *headers)

    assert response.status_code == 401
    assert "several keys; send one" in response.json()["error"]["message"]
    assert r.finished() == 0
    assert r.refusals == [(401, "invalid_api_key")]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", CLIENT_KEY)],
        [("Authorization", "Bearer")],
        [("Authorization", f"Basic {CLIENT_KEY}")],
        [("x-api-key", f"Bearer {CLIENT_KEY}")],
        [("api-key", "")],
    ],
)
async def test_without_a_key_the_error_names_the_ways(headers: list[tuple[str, str]]) -> None:
    """All three headers are in the message."""
    async with rig(blend("a")) as r:
        response = await asked(r, *headers)

    message = response.json()["error"]["message"]
    assert response.status_code == 401
    for way in ("'Authorization: Bearer KEY'", "'x-api-key: KEY'", "'api-key: KEY'"):
        assert way in message


async def preflight(r: Rig, origin: str) -> httpx.Response:
    """A browser's question before a page's request, which has no key."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-api-key,api-key,anthropic-version",
    }
    async with httpx.AsyncClient(base_url=r.url, headers=headers) as page:
        return await page.options("/v1/chat/completions")


@pytest.mark.parametrize(
    ("listed", "origin", "is_allowed"),
    [
        ("http://localhost:*", "http://localhost:5173", True),
        ("http://localhost:*", "http://localhost", True),
        ("http://localhost:*", "https://localhost:5173", False),
        ("http://localhost:*", "http://localhost.evil.example:80", False),
        ("http://localhost:*", "http://localhost:5173.evil.example", False),
        ("http://local.host:*", "http://localxhost:80", False),
        ("https://chat.example", "https://chat.example", True),
        ("https://chat.example", "https://chat.example:8443", False),
        ("*", "https://anything.example", True),
        ("null", "null", True),
    ],
)
async def test_an_origin_may_have_any_port(listed: str, origin: str, is_allowed: bool) -> None:
    """`:*` stands for the ports of one host, and for nothing else."""
    async with rig(blend("a", api={"cors_origins": [listed]})) as r:
        answer = await preflight(r, origin)
        response = await r.chat(headers={"Origin": origin})

    assert (answer.status_code == 200) is is_allowed
    assert ("access-control-allow-origin" in response.headers) is is_allowed
    assert response.status_code == 200
    if is_allowed:
        assert "x-api-key" in answer.headers["access-control-allow-headers"]
        assert response.headers["access-control-expose-headers"] == "*"


@pytest.mark.parametrize("origins", [[], ["http://localhost:*"]])
async def test_a_page_that_is_refused_learns_the_setting(origins: list[str]) -> None:
    """Browsers show the sentence among their network requests; it is counted as a refusal."""
    async with rig(blend("a", api={"cors_origins": origins})) as r:
        answer = await preflight(r, "https://elsewhere.example")

    message = answer.json()["error"]["message"]
    assert answer.status_code == 403
    assert "'https://elsewhere.example'" in message
    assert "'api.cors_origins'" in message
    assert r.refusals == [(403, "origin_not_allowed")]


async def test_a_question_that_is_no_preflight_needs_a_key() -> None:
    """A plain OPTIONS is a request like others."""
    async with rig(blend("a")) as r, httpx.AsyncClient(base_url=r.url) as stranger:
        headers = {"Origin": "https://elsewhere.example"}
        assert (await stranger.options("/v1/models", headers=headers)).status_code == 401


async def test_the_demo_lets_in_pages_of_this_machine() -> None:
    """On any port, because development servers choose theirs."""
    async with rig(blend("a", api=load("demo").api.model_dump())) as r:
        for origin in ("http://localhost:3000", "http://127.0.0.1:8080"):
            assert (await preflight(r, origin)).status_code == 200
        assert (await preflight(r, "https://chat.example")).status_code == 403
