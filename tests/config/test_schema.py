"""The JSON Schema that editors use, and the names of Ray and vLLM that a file may hold."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from blended.config import engine_names, engine_sources, schema
from tests.config.wrong_files import WRONG, Wrong

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "serve" / "blended" / "presets").glob("*.yaml"))
BLENDS = [
    *PRESETS,
    *sorted((ROOT / "docs" / "examples").glob("*.yaml")),
    ROOT / "serve" / "blended" / "cli" / "starter.yaml",
]


def mistakes(text: str) -> list[str]:
    """What an editor says of a file; it reads YAML 1.2, in which days are texts."""
    data = json.loads(json.dumps(YAML(typ="safe", pure=True).load(text), default=str))
    checker: Any = jsonschema.Draft202012Validator(json.loads((ROOT / schema.PATH).read_text()))
    return [error.json_path for error in checker.iter_errors(data)]


def test_the_committed_files_are_those_of_the_models_and_of_what_is_installed() -> None:
    """`make check` compares them as well."""
    assert (ROOT / schema.PATH).read_text() == schema.text()
    assert (ROOT / engine_sources.PATH).read_text() == engine_sources.text()


@pytest.mark.parametrize("path", BLENDS, ids=lambda path: path.stem)
def test_an_editor_takes_every_blend_that_ships(path: Path) -> None:
    """Presets, examples, and the file that `blended init` writes."""
    assert mistakes(path.read_text()) == []


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_name_the_schema_beside_them(path: Path) -> None:
    """By the comment that yaml-language-server reads, in the first line."""
    assert path.read_text().splitlines()[0] == schema.EDITOR_LINE
    assert path.with_name(schema.PATH.name).is_file()


@pytest.mark.parametrize(
    "wrong",
    [WRONG[name] for name in ("kind", "model", "components", "word for a number", "accelerator")],
)
def test_an_editor_refuses_what_the_command_refuses(wrong: Wrong) -> None:
    """Misspelt keys and kinds, and values of another type."""
    assert mistakes(wrong.text)


def test_names_come_from_the_source_of_ray_and_vllm() -> None:
    """Some that presets use, and some of each class of arguments."""
    assert {"L4", "L40S", "H100", "A10", "A100-80G"} <= set(engine_names.accelerators())
    assert {"dtype", "enable_prefix_caching", "enable_auto_tool_choice"} <= set(
        engine_names.arguments()
    )
