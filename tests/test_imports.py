"""What importing costs, each measured in a fresh interpreter."""

import subprocess
import sys

import pytest

HEAVY = ("ray", "vllm", "torch", "transformers", "aiohttp", "starlette")


def run(code: str) -> str:
    """Run `code` in a new Python and return the last line it prints."""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return result.stdout.strip().splitlines()[-1]


def test_the_config_and_the_draw_import_without_the_servers() -> None:
    """`blended.config` and `blended.router.selection` load neither Ray, vLLM nor torch."""
    loaded = run(
        "import sys, blended.config, blended.router.selection\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )

    assert loaded == "[]"


def test_the_config_and_the_draw_import_in_a_blink() -> None:
    """Both import in under 0.3 s of processor time, the best of three tries."""
    seconds = [
        float(
            run(
                "import time; start = time.process_time()\n"
                "import blended.config, blended.router.selection\n"
                "print(time.process_time() - start)"
            )
        )
        for _ in range(3)
    ]

    assert min(seconds) < 0.3


@pytest.mark.parametrize("module", ["blended.app", "blended.router.deployment", "blended.cli.main"])
def test_everything_but_an_engine_imports_without_vllm(module: str) -> None:
    """The router and the builders load neither vLLM nor ray.serve.llm."""
    loaded = run(
        f"import sys, {module}\n"
        "print([m for m in ('vllm', 'torch', 'ray.serve.llm', 'ray.llm') if m in sys.modules])"
    )

    assert loaded == "[]"


@pytest.mark.parametrize("module", ["blended.config", "blended.cli.main", "blended.demo"])
def test_the_command_line_starts_without_ray(module: str) -> None:
    """Commands that need no cluster do not wait for Ray's imports."""
    assert run(f"import sys, {module}\nprint('ray' in sys.modules)") == "False"
