"""`blended check`, `init` and `schema`, as a process of its own where that matters."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from blended.cli import main as cli
from blended.cli.main import app
from blended.config import BlendConfig, loading
from blended.errors import ConfigError, LaunchError
from blended.launch.state import Running

BLEND = "name: x\ncomponents: [{id: a, kind: vllm, engine: {model: /no/such, accelerator: L4}}]\n"


def run(*arguments: str, text: str | None = None, columns: int = 80) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(
        app, list(arguments), input=text, catch_exceptions=False
    )


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    """`python -m blended` is `blended`, its errors too; a pipe is read by the name -."""
    done = subprocess.run(
        [sys.executable, "-m", "blended", "check", "-"],
        input="name: x\ncomponets: []\n",
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 1
    assert "stdin:2: componets: unknown key 'componets'; did you mean" in done.stderr


def test_a_blend_may_come_through_a_pipe() -> None:
    """And is summarised as from a file."""
    assert "x: 1 component" in run("check", "-", text=BLEND).output


def test_a_blend_from_a_pipe_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` reads a file again at each start, and a pipe has nothing more."""

    def start(blend: BlendConfig, port: int, timeout: float) -> Running:
        raise LaunchError(f"{blend.name} is started on {port}")

    monkeypatch.setattr(cli, "_start", start)
    with pytest.raises(LaunchError, match="x is started on 8000"):
        run("up", "-", text=BLEND)


@pytest.mark.parametrize("columns", [200, 80, 40])
def test_a_summary_is_whole_in_any_width(columns: int) -> None:
    """Names, models and sizes; the size of a model is called so, and not like its weight."""
    printed = run("check", "paper", columns=columns).output

    for expected in ("pygmalion", "ChaiML/edit_sft_pyg_v2e_cp_17515", "1 to 4 L40S", "24.3 GiB"):
        assert expected in printed
    assert "model size" in printed
    assert "weights" not in printed


def test_a_summary_for_programs_has_the_same_figures() -> None:
    """One JSON document, in plain units."""
    found = json.loads(run("check", "paper", "--json").output)

    assert [c["id"] for c in found["components"]] == ["pygmalion", "chai", "vicuna"]
    assert found["gpus"] == [3, 12]
    assert found["resident_parameters"] == pytest.approx(25.1e9, rel=0.01)
    assert found["components"][0]["weight_bytes"] == pytest.approx(12.1e9, rel=0.01)


def test_a_folder_of_another_machine_is_noted() -> None:
    """It may be there on the nodes."""
    result = run("check", "-", text=BLEND)

    assert result.exit_code == 0
    assert "Note: the model '/no/such' of component 'a' is not on this" in result.output


def test_init_writes_a_blend_that_is_right(tmp_path: Path) -> None:
    """With comments, and over no file that is there."""
    path = tmp_path / "blend.yaml"
    printed = run("init", str(path)).output

    assert f"blended up {path}" in printed.replace("\n", " ")
    assert [c.id for c in loading.load(str(path)).components] == ["ember", "flint"]
    assert path.read_text().count("#") > 10
    with pytest.raises(ConfigError, match="exists; remove it first"):
        run("init", str(path))
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        run("init", str(tmp_path / "no" / "blend.yaml"))


def test_every_part_of_the_written_file_may_be_used(tmp_path: Path) -> None:
    """What is commented out is right as well."""
    path = tmp_path / "blend.yaml"
    run("init", str(path))
    lines = path.read_text().splitlines()
    chosen = [line.replace("# ", "", 1) if _is_out(line) else line for line in lines]
    path.write_text("\n".join(chosen))
    blend = loading.parse(
        path.read_text().replace(
            "{ember: 3, flint: 1}", "{ember: 3, flint: 1, qwen: 1, elsewhere: 0}"
        ),
        "blend.yaml",
    )

    assert [c.id for c in blend.components] == ["ember", "flint", "qwen", "elsewhere"]
    assert blend.weights["ember"] == 3


def _is_out(line: str) -> bool:
    """Whether a line is YAML that is commented out."""
    bare = line.strip().removeprefix("# ").lstrip()
    return line.strip().startswith("# ") and (
        bare.startswith("- id")
        or bare.split("#")[0].rstrip().endswith((":", "}"))
        or line.startswith("  #   ")
    )


def test_schema_prints_what_the_presets_name() -> None:
    """For a file beside a blend."""
    assert json.loads(run("schema").output)["title"] == "BlendConfig"
