"""Two real components on a cluster; this folder's tests kill its engines and routers."""

from collections.abc import Iterator

import pytest
import yaml

from blended.config import BlendConfig, loading
from tests.live.conftest import Live, running
from tests.live.talks import TOKEN_IDS

LONG_TOKENS = 1500


def blend(replicas: int = 2) -> BlendConfig:
    """The demo's ember with `replicas` replicas, and flint; responses may be very long.

    Contexts may exceed those of the models' training, because only token counts matter.
    """
    data = loading.load("demo").model_dump(mode="json")
    ember, flint, _ = data["components"]
    for component in (ember, flint):
        component["passthrough"] = [TOKEN_IDS]
        component["engine"]["max_model_len"] = 4096
        component["engine"]["env"]["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"
        component["engine"]["args"]["kv_cache_memory_bytes"] = 2**28
        component["sampling"]["max_tokens"]["max"] = LONG_TOKENS
        component["timeouts"] |= {"first_byte_s": 20, "idle_s": 10}
    ember["replicas"] |= {"min": replicas, "max": 3}
    data["router"]["replicas"] |= {"min": 2, "max": 2}
    return BlendConfig.model_validate(data | {"components": [ember, flint]})


@pytest.fixture(scope="package")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Three engines and two routers."""
    folder = tmp_path_factory.mktemp("engines")
    path = folder / "blend.yaml"
    path.write_text(yaml.safe_dump(blend().model_dump(mode="json")))
    environment = {"RAY_metrics_report_interval_ms": "2000"}  # else Ray's metrics are 10 s old
    with running(str(path), folder / "state", environment) as live:
        yield live
