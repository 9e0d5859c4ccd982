"""A simulated blend that this folder's tests share, and what each client has seen of it."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.live.clients import environments
from tests.live.conftest import Live, running

# Without a need most requests go to the component that has no skill. GuideLLM, which wants
# responses of a certain length, sends `ignore_eos`.
BLEND = """
name: clients
router: {cpus: 0.1}
journal: {content: {retention_days: 1}}
selection: {weights: {skilled: 1, plain: 99}}
components:
  - id: skilled
    kind: simulated
    capabilities: [tools, json_schema]
    passthrough: [ignore_eos]
    simulation: &short {ttft_ms: 20, itl_ms: 2, tokens: 8}
  - {id: plain, kind: simulated, capabilities: [], passthrough: [ignore_eos], simulation: *short}
"""
SCRIPTS = Path(__file__).with_name("scripts")
# No client downloads anything, or tells its maker of its use.
QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
}
_WITHIN_S = 120

Seen = Callable[[str, str], dict[str, Any]]


@pytest.fixture(scope="package")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The blend."""
    folder = tmp_path_factory.mktemp("clients")
    path = folder / "blend.yaml"
    path.write_text(BLEND)
    with running(str(path), folder / "state") as live:
        yield live


@pytest.fixture(scope="package")
def seen(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Runs a client's script in its environment, once; returns what it saw of each thing."""
    home = tmp_path_factory.mktemp("home")
    own = {"HOME": str(home), "LLM_USER_PATH": str(home), "PATH": os.environ["PATH"]}
    blend = {"BLEND_URL": live.url, "BLEND_KEY": live.api_key}

    @cache
    def run(environment: str, script: str) -> dict[str, Any]:
        done = subprocess.run(
            _command(environment, script),
            env=own | QUIET | blend,
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


def _command(environment: str, script: str) -> list[Path]:
    if environment != "node":
        return [environments.python(environment), SCRIPTS / f"{script}.py"]
    program, folder = environments.node()
    # Node looks for packages in the folders above a script.
    shutil.copytree(SCRIPTS, folder / "scripts", dirs_exist_ok=True)
    return [program, folder / "scripts" / f"{script}.mjs"]
