"""The demo blend on a cluster that this folder's tests share; no test breaks it.

Each test has its own users, conversations and words, and reverts the changes that it applies.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from blended.config import loading
from tests.live.collector import Collector, collecting
from tests.live.conftest import Live, running
from tests.live.talks import TOKEN_IDS


def blend(**changes: Any) -> str:
    """The demo with these changes, as YAML.

    It samples only clients' own traces, and tells clients the tokens of prompts.
    """
    demo = loading.load("demo").model_dump(mode="json")
    for component in demo["components"]:
        component["passthrough"] = [TOKEN_IDS]
    return yaml.safe_dump(demo | {"tracing": {"sampling_ratio": 0}} | changes)


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    """The collector of the cluster's spans."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="package")
def demo(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Three real engines."""
    folder = tmp_path_factory.mktemp("demo")
    path = folder / "blend.yaml"
    path.write_text(blend())
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "RAY_metrics_report_interval_ms": "2000",  # else Ray's metrics are 10 s old
    }
    with running(str(path), folder / "state", environment) as live:
        yield live


@contextmanager
def applied(demo: Live, folder: Path, **changes: Any) -> Iterator[str]:
    """Apply these changes of the blend until the block is left; yields the output of `apply`."""
    changed, usual = folder / "blend.yaml", folder / "usual.yaml"
    changed.write_text(blend(**changes))
    usual.write_text(blend())
    try:
        done = demo.cli("apply", str(changed), "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        yield done.stdout
    finally:
        demo.cli("apply", str(usual), "--yes")
