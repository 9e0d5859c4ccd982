"""Properties that only real engines and a real cluster can show."""

import asyncio
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from blended.demo import CONVERSATION
from loadtests.harness.processes import named
from tests.live.conftest import Live
from tests.support import eventually

pytestmark = pytest.mark.ray

COMPONENTS = ("ember", "flint", "willow")


def post(live: Live, path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {live.api_key}"}
    # Not `json=`, which refuses the lone surrogates that other clients send.
    return httpx.post(live.url + path, content=json.dumps(body), headers=headers, timeout=60)


async def test_one_response_is_one_generation(demo: Live) -> None:
    """The engines' counters of finished requests grow by exactly the responses served."""

    def finished() -> float:
        return sum(demo.metric("ray_vllm_request_success_total", by="model_name").values())

    messages = [{"role": "user", "content": "Hello!"}]
    # The first responses make the counters appear; they are pushed every few seconds.
    for name in COMPONENTS:
        assert post(demo, model=name, messages=messages).status_code == 200
    await settled(finished)
    before = finished()
    for stream in [False, True] * 15:
        assert post(demo, model="demo", messages=messages, stream=stream).status_code == 200

    await eventually(lambda: finished() - before >= 30, timeout_s=60)
    await settled(finished)
    assert finished() - before == 30


async def settled(value: Callable[[], float], pushes_s: float = 6) -> None:
    """Wait until `value` stays the same for longer than Ray takes to push its metrics."""
    last = value()
    while True:
        await asyncio.sleep(pushes_s)
        if value() == last:
            return
        last = value()


def test_each_prompt_is_the_components_own_template_over_the_shared_history(demo: Live) -> None:
    """All three engines get the whole history, each in its own template."""
    history = [
        {"role": "user", "content": CONVERSATION[0]},
        {"role": "assistant", "content": "Nice to meet you, says ember."},
        {"role": "user", "content": CONVERSATION[1]},
        {"role": "assistant", "content": "Rocks, says flint."},
        {"role": "user", "content": CONVERSATION[4]},
    ]
    prompts = {name: rendered(demo, name, history) for name in COMPONENTS}

    for name, prompt in prompts.items():
        places = [prompt.index(message["content"]) for message in history]
        assert places == sorted(places), f"{name}: {prompt}"
    frames = {
        name: prompt.replace(" ", "").split("Hithere!")[0] for name, prompt in prompts.items()
    }
    assert len(set(frames.values())) == 3, frames


def rendered(live: Live, component: str, history: list[dict[str, str]]) -> str:
    """The prompt that the engine of `component` gets for a request through the router."""
    response = post(live, model=component, messages=history, max_tokens=1, return_token_ids=True)
    tokens = response.json()["prompt_token_ids"]
    back = httpx.post(
        f"{live.url}/components/{component}/detokenize",
        json={"model": component, "tokens": tokens},
        headers={"Authorization": f"Bearer {live.internal_key}"},
        timeout=60,
    )
    prompt: str = back.json()["prompt"]
    return prompt


def test_all_components_take_part_in_a_conversation(demo: Live) -> None:
    """Over a few conversations every component answers, with text that ends by itself."""
    names, texts = set(), []
    for seed in range(4):
        history: list[dict[str, str]] = []
        for turn in CONVERSATION:
            history.append({"role": "user", "content": turn})
            response = post(demo, model="demo", messages=history, seed=seed)
            choice = response.json()["choices"][0]
            history.append({"role": "assistant", "content": choice["message"]["content"]})
            names.add(response.headers["x-blended-component"])
            texts.append((choice["finish_reason"], choice["message"]["content"]))

    # Missing one of three in 24 draws: 3 * (2/3)^24, less than two in ten thousand.
    assert names == set(COMPONENTS)
    assert all(reason == "stop" and text.strip() for reason, text in texts)


def test_components_answer_only_to_the_router(demo: Live) -> None:
    """With the client's key, or none, a component's own path gives 401."""
    for headers in ({}, {"Authorization": f"Bearer {demo.api_key}"}):
        for name in COMPONENTS:
            url = f"{demo.url}/components/{name}/v1/models"
            assert httpx.get(url, headers=headers, timeout=30).status_code == 401


def test_the_router_process_has_no_engine_in_it(demo: Live) -> None:
    """A router replica maps no library of torch, on which vLLM depends."""

    def libraries(pid: int) -> list[str]:
        return [Path(mapping.path).name for mapping in psutil.Process(pid).memory_maps()]

    apps = demo.applications()
    (router,) = apps["blended"]["deployments"]["Router"]["replicas"]
    (engine,) = apps["component-ember"]["deployments"]["LLMServer:ember"]["replicas"]

    assert not [name for name in libraries(router["pid"]) if "torch" in name]
    assert [name for name in libraries(engine["pid"]) if "torch" in name]


def test_an_engine_is_two_processes_that_share_what_they_have_loaded(demo: Live) -> None:
    """The replica and its copy, vLLM's core, each hold less private memory than shared."""
    for component in ("ember", "flint", "willow"):
        deployments = demo.applications()[f"component-{component}"]["deployments"]
        (replica,) = deployments[f"LLMServer:{component}"]["replicas"]
        (core,) = named(replica["pid"], "VLLM::")
        memory = core.memory_full_info()

        assert core.name().startswith("VLLM::EngineCor")
        assert memory.uss < memory.rss / 2


def test_strange_requests_are_never_a_500(demo: Live) -> None:
    """Combinations of odd values are answered or refused, and the engines stay alive."""
    odd: dict[str, list[Any]] = {
        "messages": [
            [{"role": "user", "content": "\ud800"}],
            [{"role": "tool", "content": "x"}],
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "no"}}]}],
            [{"role": "assistant", "content": ""}],
            [{"role": "user", "content": "hi", "name": 7}],
        ],
        "temperature": [-1, 1e300],
        "top_p": [-5, 5],
        "seed": [10**30, "x", -1],
        "logit_bias": [{"a": 1}, {"1": 1e9}],
        "tools": [[{"type": "function", "function": {"name": "f"}}], "x"],
        "response_format": [{"type": "nonsense"}, {"type": "json_schema"}],
        "stop": ["", ["x"] * 50, ["\ud800"]],
        "n": [0, 10**9],
        "max_tokens": [-1, 10**18],
        "stream_options": [{"include_usage": True}, 7],
        "guided_regex": ["("],
        "top_logprobs": [-3],
    }
    hello: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
    for name, values in odd.items():
        for value, stream in itertools.product(values, (False, True)):
            response = post(demo, **(hello | {name: value, "stream": stream, "max_tokens": 4}))
            assert response.status_code < 500, f"{name}={value!r}: {response.text[:300]}"
    for name in COMPONENTS:
        assert post(demo, **(hello | {"model": name})).status_code == 200


def test_models_and_chat_from_the_command_line(demo: Live) -> None:
    """`blended models` lists the blend; `blended chat` answers, redraws, and changes the model."""
    listed = demo.cli("models")
    lines = "Hello!\n/retry\n/model flint\nHello!\n/model nobody\n/nonsense\n/quit\n"
    chat = demo.cli("chat", stdin=lines)

    assert all(name in listed.stdout for name in ("demo", *COMPONENTS))
    assert chat.returncode == 0, chat.stderr
    assert chat.stdout.count("tokens, first after") == 3
    assert "now talking to flint" in chat.stdout
    assert "There is no model 'nobody'" in chat.stdout
    assert "There is no command /nonsense" in chat.stdout


def test_a_second_blend_is_refused_while_one_runs(demo: Live) -> None:
    """`blended up` names the running blend and says how to stop it."""
    again = demo.cli("up", "demo")

    assert again.returncode == 1
    assert "already runs" in again.stderr
