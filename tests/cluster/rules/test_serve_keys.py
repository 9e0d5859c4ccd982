"""Serve configs: what Ray refuses, and what it takes without a word."""

from typing import Any

import pytest
from ray.serve.schema import ServeDeploySchema

from blended import app
from blended.app import serve_config
from blended.config.loading import load, presets
from blended.router.deployment import ROUTER_DEPLOYMENT
from cluster.manifests import Document
from cluster.rules.serve_keys import deployment_names, problems
from tests.cluster.manifest import Spoil, serve

FIRST = "applications[0].deployments[0]"


def first(serve: Document) -> Any:
    return serve["applications"][0]["deployments"][0]


def scaling(serve: Document) -> Any:
    return first(serve)["autoscaling_config"]


# What Ray takes, although it does nothing or something else.
SILENT: list[tuple[Spoil, str, str]] = [
    (
        lambda s: first(s).update(max_ongoing_request=4),
        f"{FIRST}.max_ongoing_request",
        "Ray does not know the key 'max_ongoing_request'; did you mean 'max_ongoing_requests'?",
    ),
    (
        lambda s: scaling(s).update(min_replica=1),
        f"{FIRST}.autoscaling_config.min_replica",
        "did you mean 'min_replicas'?",
    ),
    (
        lambda s: first(s).update(ray_actor_options={"num_gpu": 1}),
        f"{FIRST}.ray_actor_options.num_gpu",
        "did you mean 'num_gpus'?",
    ),
    (
        lambda s: s["http_options"].update(prot=8000),
        "http_options.prot",
        "did you mean 'port'?",
    ),
    (lambda s: s.update(proxy="EveryNode"), "proxy", "Ray does not know the key 'proxy'"),
    (
        lambda s: s["applications"][0].update(zzz=1),
        "applications[0].zzz",
        "Ray does not know the key 'zzz'; remove it",
    ),
    (
        lambda s: first(s).update(request_router_config={"backoff_multiplyer": 2}),
        f"{FIRST}.request_router_config.backoff_multiplyer",
        "did you mean 'backoff_multiplier'?",
    ),
    (
        lambda s: scaling(s).update(max_replicas=1, min_replicas=2, initial_replicas=None),
        f"{FIRST}.autoscaling_config",
        "max_replicas (1) must be greater than or equal to min_replicas (2)",
    ),
    (
        lambda s: scaling(s).update(target_ongoing_requests=0),
        f"{FIRST}.autoscaling_config.target_ongoing_requests",
        "greater than 0",
    ),
    (
        lambda s: first(s).update(name="LLMServer:smal"),
        f"{FIRST}.name",
        "the application has no deployment 'LLMServer:smal'; did you mean 'LLMServer:small'?",
    ),
    (
        lambda s: s["applications"][0].update(import_path="blended.app:build_vlm"),
        "applications[0].import_path",
        "blended.app has no builder 'build_vlm'; did you mean 'build_vllm'?",
    ),
    (
        lambda s: s["applications"][0]["args"]["engine"].update(tensor_paralel_size=2),
        "applications[0].args.engine.tensor_paralel_size",
        "did you mean 'tensor_parallel_size'?",
    ),
    (
        lambda s: s["applications"][0]["args"].pop("engine"),
        "applications[0].args.engine",
        "this key is required; add it",
    ),
    (
        lambda s: s["applications"][1].update(route_prefix="/components/small/more"),
        "applications[1].route_prefix",
        "lies below another application's '/components/small'; move one of them",
    ),
]

# What Ray refuses itself.
REFUSED: list[tuple[Spoil, str, str]] = [
    (
        lambda s: s["logging_config"].update(encodng="JSON"),
        "logging_config.encodng",
        "did you mean 'encoding'?",
    ),
    (
        lambda s: first(s)["backpressure_config"].update(retry_after=1),
        f"{FIRST}.backpressure_config.retry_after",
        "did you mean 'retry_after_s'?",
    ),
    (
        lambda s: first(s).update(max_ongoing_requests=0),
        f"{FIRST}.max_ongoing_requests",
        "greater than 0",
    ),
    (
        lambda s: s["applications"][1].update(name="component-small"),
        "applications",
        'multiple configs for application "component-small"',
    ),
    (
        lambda s: s["applications"][1].update(route_prefix="/components/small"),
        "applications",
        'duplicate applications for route prefix "/components/small"',
    ),
    (lambda s: s.pop("applications"), "applications", "field required"),
]


@pytest.mark.parametrize("preset", presets())
def test_what_this_project_writes_has_no_problems(preset: str) -> None:
    """Of every preset."""
    assert problems(serve_config(load(preset), 8000)) == []


def test_the_good_config_has_no_problems() -> None:
    """Nothing is wrong with what all other tests spoil."""
    assert problems(serve()) == []


@pytest.mark.parametrize(("spoil", "path", "words"), SILENT)
def test_what_ray_takes_without_a_word_is_named(spoil: Spoil, path: str, words: str) -> None:
    """Ray's schema accepts it; the problem has its place and the remedy."""
    config = serve()
    spoil(config)

    found = problems(config)

    ServeDeploySchema.model_validate(config)
    assert [problem.path for problem in found] == [path]
    assert words in found[0].message


@pytest.mark.parametrize(("spoil", "path", "words"), REFUSED)
def test_what_ray_refuses_is_named(spoil: Spoil, path: str, words: str) -> None:
    """In Ray's words, once."""
    config = serve()
    spoil(config)

    found = problems(config)

    assert [problem.path for problem in found] == [path]
    assert words in found[0].message


def test_two_deployments_of_one_name_are_named() -> None:
    """Ray keeps the last of them."""
    config = serve()
    config["applications"][0]["deployments"].append(first(serve()))

    assert [problem.path for problem in problems(config)] == [
        f"{FIRST}.name",
        "applications[0].deployments[1].name",
    ]


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (lambda s: s["applications"].append("more"), "applications[3]"),
        (
            lambda s: s["applications"][0]["deployments"].append("LLMRouter"),
            "applications[0].deployments[1]",
        ),
        (lambda s: s["applications"][0].update(deployments=True), "applications[0].deployments"),
        (lambda s: s["applications"][0].update(args="small"), "applications[0].args"),
        (lambda s: s.update(applications=1), "applications"),
    ],
)
def test_a_text_in_place_of_a_mapping_is_named(spoil: Spoil, path: str) -> None:
    """Ray's schema would raise an AttributeError."""
    config = serve()
    spoil(config)

    assert [problem.path for problem in problems(config)] == [path]


def test_all_mistakes_are_reported_together() -> None:
    """Those of Ray's schema, and the others."""
    config = serve()
    first(config).update(max_ongoing_requests=0, num_replica=1)
    config["applications"][1]["deployments"][0]["name"] = "LLMServer"
    config["applications"][2]["route_prefix"] = "/components/small/below"

    assert len(problems(config)) == 4


def test_applications_of_others_are_taken() -> None:
    """Nothing is known of their deployments."""
    config = serve()
    config["applications"][0].update(import_path="theirs:app", args={})

    assert problems(config) == []


def test_deployments_have_the_names_that_builders_give_them() -> None:
    """The names that the config may use are those of what is built."""
    router = {"import_path": "blended.app:build_router"}
    simulated = {"import_path": "blended.app:build_simulated"}

    assert deployment_names(router) == (ROUTER_DEPLOYMENT.name,)
    assert deployment_names(simulated) == (app.SIMULATED,)
