"""Best of several candidates on real engines.

Two chat models, and a classifier on vLLM's pooling runner, whose head has random weights.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import select

from blended import demo
from blended.config import loading
from blended.journal.store import Store
from blended.journal.tables import contents
from blended.reward.transcript import transcript
from tests.live.conftest import Live, running
from tests.live.demo.test_answers import post, settled
from tests.support import eventually

pytestmark = pytest.mark.ray

HELLO = [{"role": "user", "content": "Hi there! My name is Robin."}]


def classifier(folder: Path) -> Path:
    """A sequence classifier with one label from a demo model; its head is random and seeded."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(7)
    source = demo.model_path("willow")
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1)
    tokenizer = AutoTokenizer.from_pretrained(source)
    model.config.pad_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Ember gives four candidates, flint four that are judged early; both are judged by vLLM."""
    folder = tmp_path_factory.mktemp("best-of")
    data = loading.load("demo").model_dump(mode="json", exclude_none=True)
    ember, flint, _ = data["components"]
    ember["best_of"], flint["best_of"] = 4, {"k": 4, "early": 6}
    engine = {**flint["engine"], "model": str(classifier(folder / "classifier"))}
    reward = {"kind": "vllm", "engine": engine, "timeout_ms": 5000, "version": "random-7"}
    journal = {"content": {"retention_days": 1}}
    blend = {**data, "components": [ember, flint], "reward": reward, "journal": journal}
    path = folder / "blend.yaml"
    path.write_text(yaml.safe_dump(blend))
    environment = {"RAY_metrics_report_interval_ms": "2000"}  # else Ray's metrics are 10 s old
    with running(str(path), folder / "state", environment) as live:
        yield live


def scores(live: Live, texts: list[str]) -> list[float]:
    """What the engine says of texts that are asked for directly."""
    body = {"model": "reward", "input": texts, "use_activation": False}
    headers = {"Authorization": f"Bearer {live.internal_key}"}
    answer = httpx.post(f"{live.url}/reward/classify", json=body, headers=headers, timeout=60)
    return [row["probs"][0] for row in answer.raise_for_status().json()["data"]]


def record(live: Live, response: httpx.Response) -> dict[str, Any]:
    """The record of a response, from the API, once it is there."""
    name = response.headers["x-blended-response-id"]
    headers = {"Authorization": f"Bearer {live.api_key}"}
    deadline = time.monotonic() + 30
    while True:
        found = httpx.get(f"{live.url}/v1/records/{name}", headers=headers, timeout=30)
        if found.status_code == 200:
            return dict(found.json())
        assert time.monotonic() < deadline, found.text
        time.sleep(0.2)


async def test_one_response_is_four_generations(live: Live) -> None:
    """The engine's own counter grows by four for each; the reader of the prompt is one."""

    def finished() -> float:
        by = live.metric("ray_vllm_request_success_total", by="model_name")
        return by.get("ember", 0.0)

    for _ in range(2):
        assert post(live, model="ember", messages=HELLO).status_code == 200
    await settled(finished)
    before = finished()
    for stream in [False, True] * 5:
        answer = post(live, model="ember", messages=HELLO, stream=stream, temperature=1.0)
        assert answer.headers["x-blended-best-of"] == "4; chosen_by=reward"

    await eventually(lambda: finished() - before >= 40, timeout_s=60)
    await settled(finished)
    assert finished() - before == 40


def test_the_engines_scores_decide(live: Live) -> None:
    """The record's scores are those that the engine gives the same texts, and the best one won."""
    answer = post(live, model="ember", messages=HELLO, temperature=1.0)
    found = record(live, answer)["candidates"]
    content = _content(live, answer.headers["x-blended-response-id"])

    texts = list(content["rejected"])
    texts.insert(found["chosen"], content["response"][0])
    expected = scores(live, [transcript(HELLO, text) for text in texts])
    assert found["scores"] == pytest.approx(expected, abs=1e-4)
    assert found["scores"][found["chosen"]] == max(found["scores"])
    assert (found["reward_version"], found["chosen_by"]) == ("random-7", "reward")
    document = answer.json()
    assert document["choices"][0]["message"]["content"] == content["response"][0]
    assert "token_ids" not in json.dumps(document)
    usage = document["usage"]
    rejected = usage["completion_tokens_details"]["rejected_tokens"]
    assert 0 < rejected < usage["completion_tokens"]


def _content(live: Live, name: str) -> dict[str, Any]:
    """The texts that the journal keeps."""
    store = Store(f"sqlite:///{Path(live.env['BLENDED_STATE_DIR']) / 'journal.db'}")
    try:
        query = select(contents.c.content).where(contents.c.response_id == name)
        [(found,)] = [row for rows in store.stream(query, 10) for row in rows]
        return dict(found)
    finally:
        store.close()


@pytest.mark.parametrize("stream", [False, True])
def test_the_best_beginning_goes_on(live: Live, stream: bool) -> None:
    """Four beginnings of six tokens, and one text from the best of them."""
    answer = post(live, model="flint", messages=HELLO, stream=stream, temperature=1.0)
    found = record(live, answer)

    assert answer.status_code == 200
    assert answer.headers["x-blended-best-of"].startswith("4; ")
    assert found["state"] == "finished"
    assert found["candidates"]["rejected_tokens"] <= 18
    assert found["completion_tokens"] > found["candidates"]["rejected_tokens"]


async def test_a_killed_reward_model_costs_no_response(live: Live) -> None:
    """The first candidate is taken until its replica is back, and then it chooses again."""
    [pid] = live.pids("reward", "LLMServer:reward")
    os.kill(pid, signal.SIGKILL)
    chosen = []
    for _ in range(5):
        answer = post(live, model="ember", messages=HELLO, temperature=1.0)
        assert answer.status_code == 200
        chosen.append(answer.headers["x-blended-best-of"])
    assert "4; chosen_by=first" in chosen

    def is_back() -> bool:
        answer = post(live, model="ember", messages=HELLO, temperature=1.0)
        return answer.headers["x-blended-best-of"] == "4; chosen_by=reward"

    await eventually(is_back, timeout_s=120)
