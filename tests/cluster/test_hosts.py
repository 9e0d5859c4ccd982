"""A blend on hosts without Kubernetes: the lines that start it."""

import re
import subprocess
import sys

import pytest
from ray.scripts.scripts import start

from blended.launch.environment import SERVE_ENV
from cluster import hosts

HOSTS = {"gpu1": ["qwen", "mistral"], "gpu2": ["gemma"], "cpu1": []}


def starts(text: str) -> list[str]:
    """The lines that start Ray."""
    return [line for line in text.splitlines() if line.startswith("ray start")]


def test_every_host_gets_its_line() -> None:
    """The head holds nothing, workers carry the labels of their groups."""
    assert starts(hosts.script("modern", "head", HOSTS)) == [
        "ray start --head --port=6379 --dashboard-host=0.0.0.0 --num-cpus=0",
        "ray start --address=head:6379 --labels=blended/qwen=true,blended/mistral=true",
        "ray start --address=head:6379 --labels=blended/gemma=true",
        "ray start --address=head:6379",
    ]


def test_one_host_may_be_everything() -> None:
    """A head that is a host too holds replicas."""
    text = hosts.script("modern", "box", {"box": ["qwen", "mistral", "gemma"]})

    assert starts(text) == [
        "ray start --head --port=6379 --dashboard-host=0.0.0.0 "
        "--labels=blended/qwen=true,blended/mistral=true,blended/gemma=true"
    ]
    assert text.endswith("blended up modern --address http://box:8265")


def test_a_shell_sets_what_serve_starts_with() -> None:
    """The exports, run by bash, give exactly the values that `blended up` starts Ray with."""
    lines = hosts.script("modern", "head", HOSTS).split("\n# On head:")[0]
    program = (
        f"import os; print({{n: os.environ.get(n) for n in {list(SERVE_ENV)}}} == {SERVE_ENV})"
    )
    shell = f'{lines}\n"{sys.executable}" -c "$1"'

    done = subprocess.run(["bash", "-c", shell, "-", program], capture_output=True, text=True)

    assert done.stdout.strip() == "True", done.stderr


def test_ray_knows_every_option() -> None:
    """By the command itself, whose help does not show all of them."""
    known = {option for parameter in start.params for option in parameter.opts}
    lines = starts(hosts.script("modern", "head", HOSTS))

    assert set(re.findall(r"--[a-z-]+", " ".join(lines))) <= known


def test_a_head_alone_holds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A blend without groups needs a host all the same."""
    assert hosts.main(["demo", "--head", "h"]) == 2
    assert "No host may hold a replica" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], "No host is in the group gemma, mistral, qwen; write --host HOST=GROUP."),
        (
            ["a=qwen,mistral,gemma,llama"],
            "The blend has no group llama; its groups are gemma, mistral, qwen.",
        ),
    ],
)
def test_groups_without_hosts_are_refused(
    given: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And so are groups that no component is in."""
    assert hosts.main(["modern", "--head", "h", *(w for g in given for w in ("--host", g))]) == 2
    assert capsys.readouterr().err.strip() == expected
