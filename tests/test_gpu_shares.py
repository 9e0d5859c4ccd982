"""Components that share GPUs: what is refused, the cards that they need, and their KV cache."""

import itertools
import json
import random
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from blended.cli.main import app
from blended.components.local import llm_config
from blended.components.placement import replica_options
from blended.config import BlendConfig, Engine, gpu_shares
from blended.config.loading import load, parse
from blended.errors import ConfigError
from blended.launch.up import needed_gpus
from blended.router.blend import resolve

GIB = 2**30
ENGINE: dict[str, Any] = {
    "model": "org/a",
    "accelerator": "H100",
    "gpu_fraction": 0.3,
    "replica_group": "card",
    "max_model_len": 16384,
}
# Qwen3 8B.
SIZE: dict[str, Any] = {"parameters": 8.19e9, "kv_bytes_per_token": 147456}

FULL = {"a": 0.3, "b": 0.3, "c": 0.4}


def component(name: str, size: dict[str, Any] | None = None, **engine: Any) -> dict[str, Any]:
    found = {key: value for key, value in (ENGINE | engine).items() if value is not None}
    return {"id": name, "kind": "vllm", "engine": found, **(size or {})}


def text(*components: dict[str, Any]) -> str:
    return yaml.safe_dump({"name": "x", "components": list(components)})


def blend(*components: dict[str, Any]) -> BlendConfig:
    return parse(text(*components), "blend.yaml")


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        (
            [component("a", gpu_fraction=0.5), component("b", gpu_fraction=0.6)],
            "components[1].engine.gpu_fraction: the shares of the group 'card' ('a' 0.5, 'b' 0.6) "
            "are 1.1 of a GPU, and one card must hold a replica of each; lower one of them, or "
            "give one of the components a replica group of its own",
        ),
        (
            [component("a", SIZE, gpu_fraction=0.2)],
            "components[0].engine.gpu_fraction: 0.2 of one H100 is 14.2 GiB for the engine, and it "
            "takes 19.5: weights of 15.3 GiB, the engine's own 2, and the KV cache of one response "
            "of 16384 tokens; write 0.28 or more",
        ),
        (
            [component("a", {"parameters": 2e11}, gpu_fraction=0.9)],
            "components[0].engine.gpu_fraction: 0.9 of one H100 is 64.1 GiB for the engine, and it "
            "takes 374.5: weights of 372.5 GiB, the engine's own 2; take whole GPUs, or larger "
            "ones",
        ),
        (
            [component("a", tensor_parallel_size=2)],
            "components[0].engine.gpu_fraction: tensor_parallel_size 2 takes 2 whole GPUs; leave "
            "it out, or leave out gpu_fraction",
        ),
        (
            [component("a", args={"pipeline_parallel_size": 2})],
            "components[0].engine.gpu_fraction: pipeline_parallel_size 2 takes 2 whole GPUs; leave "
            "it out, or leave out gpu_fraction",
        ),
        (
            [component("a", accelerator=None)],
            "components[0].engine.gpu_fraction: a share of a GPU needs a GPU; name its "
            "accelerator, or leave gpu_fraction out",
        ),
        (
            [component("a", args={"gpu_memory_utilization": 0.9})],
            "components[0].engine.args.gpu_memory_utilization: gpu_fraction 0.3 decides the "
            "engine's memory; leave it out",
        ),
        (
            [component("a"), component("b", accelerator="L40S")],
            "components[1].engine.accelerator: 'b' is on L40S and 'a' on H100, in one replica "
            "group, 'card'; components that share GPUs name the same one",
        ),
        (
            [component("a"), component("b", gpu_fraction=None)],
            "components[1].engine.replica_group: 'b' takes a whole GPU in the group 'card', in "
            "which 'a' has a share of one; give it a gpu_fraction, or a replica group of its own",
        ),
        *(
            (
                [component("a", gpu_fraction=wrong)],
                f"components[0].engine.gpu_fraction: {wrong} is not valid: write a share of one "
                "GPU in hundredths, such as 0.3; leave it out for whole GPUs",
            )
            for wrong in (30, 1, 0, 0.333)
        ),
    ],
)
def test_a_share_that_cannot_be_is_refused(components: list[Any], expected: str) -> None:
    """Each with the place, and what to write instead."""
    with pytest.raises(ConfigError) as error:
        blend(*components)

    [line] = str(error.value).splitlines()[1:]
    assert re.sub(r"^ *blend\.yaml:\d+: ", "", line) == expected


def test_what_fits_is_taken() -> None:
    """A full card; the least share that a message names; components in groups of their own."""
    full = [component(name, gpu_fraction=share) for name, share in FULL.items()]
    apart = [component(name, gpu_fraction=0.9, replica_group=name) for name in "abc"]

    for accepted in (full, apart, [component("a", SIZE, gpu_fraction=0.28)]):
        assert blend(*accepted).components


def test_one_number_is_rays_share_and_vllms_memory() -> None:
    """The replica's bundle reserves it, vLLM's worker takes it, and fills nine tenths of it."""
    engine = Engine.model_validate({**ENGINE, "cpus": 4})
    options, config = replica_options(engine), llm_config("a", engine)

    assert options["placement_group_bundles"] == [
        {"CPU": 5, "GPU": 0.3, "accelerator_type:H100": 0.001}
    ]
    assert config["placement_group_config"]["bundles"] == [{"CPU": 4, "GPU": 0.3}]
    assert config["engine_kwargs"]["gpu_memory_utilization"] == 0.27
    assert config["runtime_env"]["env_vars"] == {"VLLM_RAY_PER_WORKER_GPUS": "0.3"}
    whole = llm_config("a", Engine.model_validate({**ENGINE, "gpu_fraction": None}))
    assert "gpu_memory_utilization" not in whole["engine_kwargs"]


def placed(order: list[int], count: int, rng: random.Random) -> bool:
    """Whether all replicas find a place on so many cards, each on a random one with room."""
    cards = [0] * count
    for share in order:
        if not (free := [i for i, full in enumerate(cards) if full + share <= 100]):
            return False
        cards[rng.choice(free)] += share
    return True


def test_cards_suffice_in_whatever_order_replicas_come() -> None:
    """A thousand mixes, each placed in twenty random ways: none waits on as many cards as said.

    Nothing is left to chance for equal shares: as many cards as they fill, no more.
    """
    rng = random.Random(7)
    for _ in range(1000):
        sizes = rng.choices([10, 20, 25, 30, 33, 34, 40, 45, 50, 60, 75], k=rng.randint(1, 4))
        counts = {size: rng.randint(1, 4) for size in sizes}
        order = [size for size, count in counts.items() for _ in range(count)]
        enough = gpu_shares.cards(counts)
        assert enough * 100 >= sum(order)
        for _ in range(20):
            rng.shuffle(order)
            assert placed(order, enough, rng), (counts, enough)
    for share, count in itertools.product((33, 25, 50, 60), (1, 2, 3, 7, 12)):
        assert gpu_shares.cards({share: count}) == -(-count // (100 // share))


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        ({}, 0),
        ({30: 2, 40: 1}, 1),
        ({30: 2, 40: 2}, 2),
        # 34 + 33 leaves a gap of 33, so that three cards may be full of such pairs.
        ({34: 4, 33: 8}, 6),
        ({33: 12}, 4),
        ({100: 3}, 3),
    ],
)
def test_cards_of_examples(replicas: dict[int, int], expected: int) -> None:
    """Unequal shares leave gaps, equal ones do not."""
    assert gpu_shares.cards(replicas) == expected


def test_a_machine_needs_one_card_for_a_blend_that_shares_it() -> None:
    """`blended up` counts whole GPUs, beside components that take their own."""
    full = [component(name, gpu_fraction=share) for name, share in FULL.items()]
    own = component("d", gpu_fraction=None, replica_group=None, tensor_parallel_size=2)
    toy = component("e", gpu_fraction=None, replica_group=None, accelerator=None)

    assert needed_gpus(blend(*full)) == 1
    assert needed_gpus(blend(*full, own, toy)) == 3


def test_the_router_counts_shares_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """For its metrics, and for what a response costs in an experiment."""
    found = resolve(blend(component("a")), "http://127.0.0.1", {"VLLM_API_KEY": "k"})

    assert found.upstreams["a"].gpus == 0.3


def checked(source: str) -> str:
    done = CliRunner().invoke(app, ["check", source], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def test_check_says_how_many_tokens_of_kv_cache_are_left() -> None:
    """By the parameters and the shape of each model; all components are on one GPU."""
    said = checked("modern-one-gpu")
    memory = 79.1 * GIB * 0.297 - 2 * GIB
    sizes = {"qwen": (8.19e9, 147456), "llama": (8.03e9, 131072), "mistral": (7.25e9, 131072)}
    tokens = {
        name: int((memory - 2 * parameters) / token) for name, (parameters, token) in sizes.items()
    }

    assert "on average, 1 GPU\n" in said
    assert 45_000 < tokens["qwen"] < 46_000
    for name, count in tokens.items():
        assert f"{name}: 0.33 of one H100, KV cache for {count:,} tokens (predicted)" in said


def test_check_says_what_it_does_not_know(tmp_path: Path) -> None:
    """And how to state it."""
    file = tmp_path / "blend.yaml"
    file.write_text(text(component("a")))

    assert "a: 0.3 of one H100, KV cache unknown: state parameters and kv_b" in checked(str(file))


def test_a_model_on_this_machine_states_nothing(tmp_path: Path) -> None:
    """Parameters come from the headers of its files, the shape from its config.json."""
    header = json.dumps({"w": {"shape": [1000, 4_095_000], "dtype": "BF16"}}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    shape = {"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8}
    (tmp_path / "config.json").write_text(json.dumps(shape | {"head_dim": 128}))
    file = tmp_path / "blend.yaml"
    file.write_text(text(component("a", model=str(tmp_path), gpu_fraction=0.4)))

    room = (79.1 * 0.36 - 2) * GIB - 2 * 4.095e9
    assert f"KV cache for {int(room / 147456):,} tokens" in checked(str(file))
    file.write_text(text(component("a", model=str(tmp_path), gpu_fraction=0.1)))
    with pytest.raises(ConfigError, match=r"0.1 of one H100 is 7.1 GiB for the engine"):
        load(str(file))
