"""What Ray Serve's ports answer besides the API, without Ray around them."""

import httpx
import pytest
from starlette.responses import PlainTextResponse

from blended.middleware import OnlyTheApi


async def answer(method: str, path: str, picks_replicas: bool, **headers: bytes) -> httpx.Response:
    """What a port answers whose application would answer everything."""
    app = OnlyTheApi(PlainTextResponse("the application"), picks_replicas)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://port") as http:
        raw = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
        return await http.request(method, path, headers=raw)


@pytest.mark.parametrize(
    ("method", "path", "replica", "picker"),
    [
        ("GET", "/-/healthz", 200, 200),
        ("GET", "/-/routes", 404, 404),
        ("POST", "/v1/chat/completions", 200, 404),
        ("GET", "/docs", 200, 404),
        ("GET", "/internal/route", 200, 404),
        ("POST", "/internal/route", 200, 200),
    ],
)
async def test_only_the_api_answers(method: str, path: str, replica: int, picker: int) -> None:
    """Replicas show their application and their health; a picker of replicas only picks."""
    assert (await answer(method, path, picks_replicas=False)).status_code == replica
    assert (await answer(method, path, picks_replicas=True)).status_code == picker


async def test_headers_that_ray_cannot_decode_are_the_clients_error() -> None:
    """A value that is not UTF-8 is refused by its name; other texts than ASCII pass."""
    bad = await answer("GET", "/", False, x_request_id=b"\xff\xfe")
    good = await answer("GET", "/", False, x_request_id="Zürich".encode())

    assert (bad.status_code, good.status_code) == (400, 200)
    assert "'x-request-id'" in bad.json()["error"]["message"]
