"""What a vLLM component is built from, without starting one."""

from pathlib import Path
from typing import Any

import pytest

from blended.components.local import VllmArgs, build_vllm, llm_config
from blended.config import Engine, VllmComponent
from blended.config.loading import load, presets
from blended.errors import ConfigError


def engine(**fields: Any) -> Engine:
    return Engine.model_validate({"model": "org/model", **fields})


def test_a_gpu_engine_takes_its_gpus_on_one_node_of_its_group() -> None:
    """Tensor parallelism takes one bundle for each GPU, packed on a node with the group's label."""
    config = llm_config(
        "a", engine(accelerator="H100", tensor_parallel_size=2, cpus=4, replica_group="big")
    )

    placement = config["placement_group_config"]
    assert placement == {"bundles": [{"CPU": 4.0, "GPU": 1}] * 2, "strategy": "STRICT_PACK"}
    selector = config["deployment_config"]["placement_group_bundle_label_selector"]
    assert selector == [{"blended/big": "true"}] * 2
    assert config["accelerator_type"] == "H100"
    assert "accelerator_config" not in config


def test_a_cpu_engine_takes_no_gpu() -> None:
    """Without a group there is no selector, so that it runs anywhere."""
    config = llm_config("a", engine(cpus=0.5))

    assert config["placement_group_config"]["bundles"] == [{"CPU": 0.5}]
    assert config["accelerator_config"] == {"kind": "cpu"}
    assert "placement_group_bundle_label_selector" not in config["deployment_config"]


def test_conversations_stay_with_a_replica() -> None:
    """The replica is chosen by consistent hashing of the session."""
    router = llm_config("a", engine())["deployment_config"]["request_router_config"]

    assert router["request_router_class"].endswith("ConsistentHashRouter")


def test_engine_arguments_reach_vllm() -> None:
    """What the config names has a field of its own; anything else goes through `args`."""
    config = llm_config(
        "a", engine(max_model_len=64, chat_template="{{x}}", args={"dtype": "auto"})
    )

    assert config["engine_kwargs"] == {
        "max_model_len": 64,
        "tensor_parallel_size": 1,
        "chat_template": "{{x}}",
        "dtype": "auto",
        "enable_prompt_tokens_details": True,
        "allowed_media_domains": ["set-allowed_media_domains.invalid"],
        "middleware": ["blended.components.local.EngineGuard"],
    }


def test_an_engine_fetches_from_the_domains_that_are_named_alone() -> None:
    """By default from none, so that no client has it ask what only the cluster can reach."""
    from vllm.multimodal.media import MediaConnector

    given = {"allowed_media_domains": ["images.example.org"]}
    closed, opened = llm_config("a", engine()), llm_config("a", engine(args=given))
    connector = MediaConnector(
        allowed_media_domains=closed["engine_kwargs"]["allowed_media_domains"]
    )

    with pytest.raises(ValueError, match="must be from one of the allowed domains"):
        connector.fetch_image("http://169.254.169.254/latest/meta-data")
    assert opened["engine_kwargs"]["allowed_media_domains"] == ["images.example.org"]


def test_a_folder_without_a_model_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    """A wrong path names the component and the path."""
    with pytest.raises(ConfigError, match=f"Component 'a': there is no model in '{tmp_path}'"):
        llm_config("a", engine(model=str(tmp_path)))


def test_a_component_does_not_start_without_the_internal_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the key it would answer anybody who reaches its port."""
    monkeypatch.delenv("VLLM_API_KEY", raising=False)

    with pytest.raises(ConfigError, match="VLLM_API_KEY is not set"):
        build_vllm(VllmArgs(id="a", engine=engine()))


def test_the_presets_templates_render_a_shared_history() -> None:
    """Every template that a preset brings puts the whole history into the prompt."""
    import jinja2

    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    history = [
        {"role": "system", "content": "SYSTEM"},
        {"role": "user", "content": "FIRST"},
        {"role": "assistant", "content": "REPLY"},
        {"role": "user", "content": "SECOND"},
    ]
    templates = [
        c.engine.chat_template
        for name in presets()
        for c in load(name).components
        if isinstance(c, VllmComponent) and c.engine.chat_template
    ]
    assert len(templates) == 3

    for template in templates:
        prompt = environment.from_string(template).render(
            messages=history, add_generation_prompt=True
        )
        places = [prompt.index(message["content"]) for message in history]
        assert places == sorted(places)
        assert prompt.endswith(("Assistant:", "ASSISTANT:"))


def test_the_presets_engine_arguments_are_vllms() -> None:
    """Every argument that a preset gives to an engine is a field of vLLM's argument classes."""
    from dataclasses import fields

    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import FrontendArgs

    known = {
        field.name for arguments in (AsyncEngineArgs, FrontendArgs) for field in fields(arguments)
    }
    for name in presets():
        for component in load(name).components:
            if isinstance(component, VllmComponent):
                given = llm_config(component.id, component.engine)["engine_kwargs"]
                assert set(given) <= known, f"{name}/{component.id}"
