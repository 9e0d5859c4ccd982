"""Dashboard and alerts on a real Prometheus: all is well, then one part after another fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from blended.config import loading
from cluster.monitoring import queries
from cluster.monitoring.alerts import Levels
from cluster.monitoring.files import rules_yaml
from cluster.monitoring.panels import WINDOW, rows
from loadtests.harness.fixed_rate import load, steady, summary
from loadtests.harness.postgres import Postgres, postgres
from tests.live.conftest import Live, running
from tests.live.prometheus import Prometheus, prometheus
from tests.support import HELLO, eventually, serving

pytestmark = [pytest.mark.ray, pytest.mark.asyncio(loop_scope="module")]

LEVELS = Levels("10s", "4s", "16s", "4s", short_hold="15s", spool_age_s=5)
RATE_PER_S, CALM_S = 12, 16
SLOW_S = 4

WORDS = "Tell me a story of the sea, of a ship and of the people on it, and take your time. " * 3
TALK = [
    {"role": role, "content": WORDS} for role in ("user", "assistant", "user", "assistant", "user")
]
ASKED = {"model": "watched", "stream": True, "max_tokens": 8}
BLEND = [{**ASKED, "messages": HELLO}, {**ASKED, "messages": TALK}]
BOTH = [*BLEND, {**ASKED, "model": "far", "messages": HELLO}]
LARGE = [{**ASKED, "model": "far", "messages": [{"role": "user", "content": "x" * 20_000}]}]
SHARES_OFF = {("BlendedShareOff", "ember"), ("BlendedShareOff", "far")}


class Far:
    """A remote API in the mode that the test sets: slow, failing, full, or normal."""

    def __init__(self) -> None:
        self.mode = "normal"

    def application(self) -> Starlette:
        """The API; when `failing`, it does not even list its models."""
        chat = Route("/v1/chat/completions", self._chat, methods=["POST"])
        return Starlette(routes=[Route("/v1/models", self._models), chat])

    async def _models(self, _: Request) -> Response:
        return JSONResponse({"data": []}, 500 if self.mode == "failing" else 200)

    async def _chat(self, _: Request) -> Response:
        if status := {"failing": 500, "full": 429}.get(self.mode):
            return Response(status_code=status)
        if self.mode == "slow":
            await asyncio.sleep(SLOW_S)
        return StreamingResponse(_pieces(), media_type="text/event-stream")


async def _pieces() -> AsyncIterator[bytes]:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    for reason in (None, "stop"):
        choice = {"index": 0, "delta": {"content": "word "}, "finish_reason": reason}
        yield f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
        await asyncio.sleep(0.01)
    yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode()
    yield b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Site:
    """A blend with its monitoring, and all parts that may fail."""

    live: Live
    far: Far
    database: Postgres
    watch: Prometheus


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A real engine and a remote API, half of the responses each, and a journal with texts."""
    folder, far = tmp_path_factory.mktemp("monitoring"), Far()
    with ExitStack() as stack:
        async with serving(far.application()) as url:
            database = stack.enter_context(postgres())
            environment = {
                "BLENDED_JOURNAL_URL": database.url,
                "RAY_metrics_report_interval_ms": "2000",  # else Ray's metrics are 10 s old
            }
            start = running(str(_blend(folder, url)), folder / "state", environment)
            live = await asyncio.to_thread(stack.enter_context, start)
            await load(live, 4, 2, BLEND)  # an engine's first responses take longer
            rules = rules_yaml(LEVELS)
            watch = stack.enter_context(prometheus(folder, live.running.metrics_url, rules))
            yield Site(live, far, database, watch)
            await asyncio.to_thread(stack.close)


def _blend(folder: Path, url: str) -> Path:
    ember = loading.load("demo").model_dump(mode="json")["components"][0]
    far = {"id": "far", "kind": "remote", "base_url": f"{url}/v1", "model": "m"}
    blend = {
        "name": "watched",
        "components": [ember, far | {"health": {"period_s": 1}}],
        "router": {"cpus": 0.1, "replicas": {"min": 1, "max": 1}},
        "journal": {"content": {}, "spool": {"max_bytes": 2**20}},
    }
    path = folder / "blend.yaml"
    path.write_text(yaml.safe_dump(blend))
    return path


async def only(site: Site, alerts: set[tuple[str, str]], timeout_s: float = 60) -> None:
    """Wait until exactly these alerts fire."""
    try:
        await eventually(lambda: site.watch.firing() == alerts, timeout_s)
    except TimeoutError:
        pytest.fail(f"{set(site.watch.firing())} fire instead of {alerts}")


def values(site: Site, expression: str) -> dict[str, float]:
    """The samples of an expression by component."""
    return {labels["component"]: value for labels, value in site.watch.query(expression)}


async def test_every_panel_shows_something_and_no_alert_fires(site: Site) -> None:
    """While all is well, each dashboard query gives a number, and each component its share."""
    results = await load(site.live, RATE_PER_S, CALM_S, BLEND)
    window = LEVELS.share_window
    asked = [expr for _, panels in rows() for panel in panels for expr, _ in panel.targets]
    empty = [expr for expr in asked if not site.watch.query(expr.replace(WINDOW, window))]

    shares = values(site, queries.answered_share(window))
    assert summary(results) == {"stream finished 200": RATE_PER_S * CALM_S}
    assert empty == []
    assert values(site, queries.configured_share(window)) == {"ember": 0.5, "far": 0.5}
    assert sum(shares.values()) == pytest.approx(1)
    assert all(0 < share < 1 for share in shares.values())
    assert values(site, queries.gpu_seconds(window)) == {"ember": 0}
    assert 0 < values(site, queries.cache_hits(window))["ember"] < 1
    assert site.watch.ever_fired() == set()


@pytest.mark.parametrize(
    ("mode", "bodies", "alerts"),
    [
        ("slow", BLEND, {("BlendedSlowFirstByte", "far")}),
        (
            "failing",
            BOTH,
            {("BlendedComponentGone", "far"), ("BlendedResponsesFail", ""), *SHARES_OFF},
        ),
        ("full", BLEND, {("BlendedComponentFull", "far"), *SHARES_OFF}),
        ("normal", BLEND, set()),
    ],
)
async def test_a_component_in_trouble_is_told_of(
    site: Site, mode: str, bodies: list[dict[str, Any]], alerts: set[tuple[str, str]]
) -> None:
    """The alerts of that trouble fire, and in the end no others, after any earlier trouble."""
    site.far.mode = mode
    async with steady(site.live, RATE_PER_S, bodies):
        await only(site, alerts)


async def test_a_journal_without_its_database_is_told_of(site: Site) -> None:
    """Records wait too long, then texts are lost, then records; the database ends the alerts."""
    waits = {("BlendedSpoolOld", "")}
    lost = {("BlendedRecordsDropped", "content"), ("BlendedRecordsDropped", "records")}
    await asyncio.to_thread(site.database.stop)
    try:
        async with steady(site.live, RATE_PER_S, BLEND):
            await only(site, waits)
        async with steady(site.live, 60, LARGE):
            await only(site, waits | lost, timeout_s=120)
    finally:
        await asyncio.to_thread(site.database.start)
    await only(site, set())


async def test_silence_is_told_of(site: Site) -> None:
    """When nothing of the blend is left, only the alert for that fires."""
    await asyncio.to_thread(site.live.cli, "down")
    await only(site, {("BlendedSilent", "")})
