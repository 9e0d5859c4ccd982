"""The OpenAPI document, and schemathesis tests of the router against it."""

import asyncio
import sys
from pathlib import Path

from blended.config import Sampling
from tests.journal.journals import journal
from tests.support import CLIENT_KEY, Rig, blend, eventually, rig

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "positive_data_acceptance",
    "unsupported_method",
    "ignored_auth",
)
OPTIONS = (
    f"--checks={','.join(CHECKS)}",
    "--phases=examples,coverage,fuzzing",
    "--max-examples=100",
    "--generation-deterministic",
    "--continue-on-failure",
    "--request-timeout=30",
    "--no-color",
    f"--header=Authorization: Bearer {CLIENT_KEY}",
)


async def schemathesis(url: str, folder: Path) -> tuple[int | None, str]:
    """Test the API at `url` against its own document; returns the exit status and the output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", *OPTIONS),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_every_answer_is_one_that_the_document_promises(tmp_path: Path) -> None:
    """Valid requests are answered, others refused as described, and no response stays open."""
    revealing = blend("a", "b", api={"reveal_component": True})
    with journal(tmp_path, keep_content=True) as kept:
        async with rig(revealing, kept) as r:
            await conforms(r, tmp_path)


async def conforms(r: Rig, folder: Path) -> None:
    """Fail with the output of schemathesis."""
    status, output = await schemathesis(r.url, folder)

    components = r.components.values()
    assert status == 0, output
    assert r.finished() > 100
    await eventually(lambda: not any(c.running or c.waiting for c in components))


async def test_the_document_describes_this_blend() -> None:
    """It names the blend, its components and every sampling parameter, and needs the key."""
    async with rig(blend("a", "b")) as r:
        document = (await r.client.get("/openapi.json")).json()
        stranger = await r.client.get("/openapi.json", headers={"Authorization": "Bearer no"})

        properties = document["components"]["schemas"]["ChatRequest"]["properties"]
        assert document["openapi"] == "3.1.0"
        assert properties["model"]["enum"] == ["blend", "a", "b"]
        assert set(Sampling.model_fields) <= set(properties)
        assert stranger.status_code == 401
