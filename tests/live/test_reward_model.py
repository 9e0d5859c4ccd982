"""The demo's reward model on vLLM's pooling runner: its scores are those of transformers."""

import random
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import torch

from blended import demo
from blended.config import VllmComponent, loading
from blended.launch import free_ports
from blended.reward.classifier import Classifier
from blended.reward.demo_journal import records
from blended.reward.transcript import TOKENS, transcript
from loadtests.harness.processes import spawned, wait_until

pytestmark = pytest.mark.ray

FOLDER = demo.model_path(demo.REWARD_MODEL_ID)
START_TIMEOUT_S = 600


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """vLLM's server with the model, with the arguments that the demo's engines have."""
    component = loading.load("demo").components[0]
    assert isinstance(component, VllmComponent)
    engine = component.engine
    where = ["--host", "127.0.0.1", "--port", str(free_ports.port())]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(FOLDER)]
    command += ["--served-model-name", "reward", "--runner", "pooling", *where]
    command += ["--max-model-len", "1024", "--dtype", "float32", "--enforce-eager"]
    env = {
        **engine.env,
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "TORCHDYNAMO_DISABLE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }
    log = tmp_path_factory.mktemp("reward") / "vllm.log"
    address = f"http://127.0.0.1:{where[-1]}"

    def answers() -> bool:
        try:
            return httpx.get(f"{address}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    with spawned(command, log, env) as process:
        wait_until(answers, process, log, START_TIMEOUT_S)
        yield address


def classified(url: str, texts: list[str]) -> list[float]:
    """The scores that vLLM gives, of the last tokens of each text."""
    body: dict[str, Any] = {"model": "reward", "input": texts, "use_activation": False}
    body |= {"truncate_prompt_tokens": TOKENS, "truncation_side": "left"}
    answer = httpx.post(f"{url}/classify", json=body, timeout=60).raise_for_status().json()
    found = sorted(answer["data"], key=lambda row: row["index"])
    return [score for row in found for score in row["probs"]]


def texts() -> list[str]:
    """Transcripts of simulated users, one of which is longer than what is read."""
    made = [r for r in records(20, 3, 0.0) if r.content]
    chosen = random.Random(0).sample(made, 40)
    short = [
        transcript(r.content["messages"], r.content["response"][0]) for r in chosen if r.content
    ]
    long = [{"role": "user", "content": f"Tell me about number {n}."} for n in range(60)]
    return [*short, transcript(long, "Numbers are lovely!")]


def test_scores_are_those_of_transformers(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """To a thousandth, of 41 texts in one request; the activation is off, so that they spread."""
    torch.set_num_threads(1)
    judge = Classifier.load(str(FOLDER), "cpu")
    judge.net.eval()
    asked = texts()
    with torch.inference_mode():
        expected = judge.score(asked).tolist()

    found = classified(url, asked)

    apart = max(abs(one - other) for one, other in zip(found, expected, strict=True))
    with capsys.disabled():
        print(f"\nlargest difference between vLLM and transformers: {apart:.1e}")
    assert apart < 1e-3
    assert max(found) - min(found) > 1
