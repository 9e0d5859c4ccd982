"""From a blend to a Serve config."""

import json
from typing import Any

import pytest
from ray.serve.schema import ServeDeploySchema

from blended.app import serve_config
from blended.config import BlendConfig
from blended.config.loading import load, presets
from blended.router.blend import resolve
from tests.support import ENVIRON, blend, remote_blend


def apps(config: BlendConfig) -> dict[str, dict[str, Any]]:
    return {app["name"]: app for app in serve_config(config, 8000)["applications"]}


def test_ray_accepts_the_config_of_every_preset() -> None:
    """Ray's own schema reads what this project writes, as JSON."""
    for name in presets():
        document = json.loads(json.dumps(serve_config(load(name), 8000)))
        schema = ServeDeploySchema.model_validate(document)

        assert len(schema.applications) == len(load(name).served) + 1


def test_every_component_is_an_application_under_its_own_prefix() -> None:
    """Components live under /components/<id>, the router at /."""
    found = apps(load("demo"))

    prefixes = {name: app["route_prefix"] for name, app in found.items()}
    assert prefixes == {
        "component-ember": "/components/ember",
        "component-flint": "/components/flint",
        "component-willow": "/components/willow",
        "blended": "/",
    }


def test_a_remote_component_is_not_deployed() -> None:
    """Somebody else serves it; only the router knows it."""
    assert list(apps(remote_blend("https://example.org/v1"))) == ["blended"]


def test_what_changes_often_restarts_nothing() -> None:
    """Weights, sampling and replica counts leave every application's `args` as they are."""
    before = apps(load("demo"))
    data = load("demo").model_dump(mode="json")
    data["selection"] = {"weights": {"ember": 5, "flint": 1, "willow": 0}, "seed": "x"}
    data["components"][0]["sampling"]["temperature"] = {"default": 0.1}
    data["components"][0]["replicas"] |= {"min": 2, "max": 4}
    after = apps(BlendConfig.model_validate(data))

    for name, app in after.items():
        assert app["args"] == before[name]["args"]
        assert app["import_path"] == before[name]["import_path"]
    assert after != before


def test_an_engines_change_touches_its_own_application_alone() -> None:
    """Another engine argument changes the `args` of that component only."""
    before = apps(load("demo"))
    data = load("demo").model_dump(mode="json")
    data["components"][1]["engine"]["max_model_len"] = 512
    after = apps(BlendConfig.model_validate(data))

    changed = [name for name in after if after[name]["args"] != before[name]["args"]]
    assert changed == ["component-flint"]


def test_engines_schedule_by_priority_with_look_ahead() -> None:
    """Unless the file says otherwise: then nothing that is read ahead has a priority."""
    data = load("demo").model_dump(mode="json")
    data["selection"]["look_ahead"] = True
    data["components"][0]["engine"]["args"] |= {"scheduling_policy": "fcfs"}
    config = BlendConfig.model_validate(data)
    found = apps(config)

    policies = {
        name: app["args"]["engine"]["args"]["scheduling_policy"]
        for name, app in found.items()
        if name != "blended"
    }
    assert policies == {
        "component-ember": "fcfs",
        "component-flint": "priority",
        "component-willow": "priority",
    }
    upstreams = resolve(config, "http://127.0.0.1:1", ENVIRON).upstreams
    assert [name for name, u in upstreams.items() if u.takes_priority] == ["flint", "willow"]


def test_every_deployment_is_bounded_and_autoscales() -> None:
    """Serve's and Ray's own defaults, which have no bounds, are always replaced."""
    for app in apps(blend("a", "b")).values():
        (deployment,) = app["deployments"]
        assert deployment["max_ongoing_requests"] <= 1000
        assert deployment["max_queued_requests"] <= 1000
        assert deployment["autoscaling_config"]["target_ongoing_requests"] <= 100
        assert deployment["graceful_shutdown_timeout_s"] == 900


def test_no_secret_stands_in_the_config(monkeypatch: Any) -> None:
    """Keys stay in the environment of the nodes: the config names at most their variables."""
    for name in ("VLLM_API_KEY", "BLENDED_API_KEY", "REMOTE_KEY"):
        monkeypatch.setenv(name, "very-secret")

    for config in (load("demo"), remote_blend("https://example.org/v1")):
        assert "very-secret" not in json.dumps(serve_config(config, 8000))


@pytest.mark.parametrize("preset", presets())
def test_the_router_gets_the_whole_blend(preset: str) -> None:
    """What is left out of its config, because it is not set, is what a blend has by itself."""
    wanted = load(preset)
    (router,) = serve_config(wanted, 8000)["applications"][-1]["deployments"]

    assert BlendConfig.model_validate(router["user_config"]["blend"]) == wanted


REWARDS: dict[str, dict[str, Any]] = {
    "vllm": {"kind": "vllm", "engine": {"model": "demo:ember", "args": {"max_num_seqs": 8}}},
    "local": {"kind": "local", "model": "/models/reward.npz"},
    "simulated": {"kind": "simulated", "correlation": 0.3},
}


@pytest.mark.parametrize("kind", list(REWARDS))
def test_a_reward_model_is_an_application_beside_the_components(kind: str) -> None:
    """Under /reward, in its own group, scaled like a component; Ray's schema reads it."""
    reward = REWARDS[kind] | {"replicas": {"min": 2, "max": 3}}
    group = {"replica_group": "scorers"}
    if kind == "vllm":
        reward["engine"] = reward["engine"] | group
    else:
        reward |= group
    config = BlendConfig.model_validate({**blend("a").model_dump(mode="json"), "reward": reward})
    found = apps(config)["reward"]

    ServeDeploySchema.model_validate(json.loads(json.dumps(serve_config(config, 8000))))
    assert found["route_prefix"] == "/reward"
    [deployment, *_] = found["deployments"]
    scaling = deployment["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["max_replicas"]) == (2, 3)
    assert scaling["policy"]["policy_kwargs"] == {"component": "reward"}
    assert config.replica_groups == ("scorers",)
    if kind == "vllm":
        assert found["args"]["engine"]["args"] == {"runner": "pooling", "max_num_seqs": 8}
    else:
        assert deployment["ray_actor_options"]["label_selector"] == {"blended/scorers": "true"}


def test_a_reward_models_settings_restart_nothing() -> None:
    """How long the router waits, and how much is read, are the router's alone."""
    base = blend("a").model_dump(mode="json")
    for reward in REWARDS.values():
        before, after = (
            apps(BlendConfig.model_validate({**base, "reward": {**reward, **more}}))["reward"]
            for more in ({}, {"timeout_ms": 200, "tokens": 64})
        )
        assert before == after
