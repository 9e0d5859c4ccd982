"""Blended as a user starts it: `blended up`, and `blended apply` to what is up."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from blended.launch import free_ports
from loadtests.harness.processes import (
    Unavailable,
    family,
    last_line,
    role_in_blend,
    spawned,
)
from loadtests.harness.targets import (
    CHAT,
    Place,
)

UPSTREAM_KEY_ENV = "BENCH_UPSTREAM_KEY"


def up(
    blend: Mapping[str, Any],
    place: Place,
    stack: ExitStack,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """`blended up`, until the stack is closed; returns what all targets in it share.

    `environment` is what the blend has beside this process's own variables.

    Raises:
        Unavailable: it did not come up; nothing is left running.
    """
    state = _state(blend, place)
    state.mkdir()
    env = _environ(state) | dict(environment or {})
    stack.callback(_down, state, env)
    arguments = ("--port", str(free_ports.port()), "--detach")
    status, last_word = _blended(state, env, "up", _written(blend, state), *arguments)
    if status != 0:
        raise Unavailable(f"did not start: {last_word}")
    running = json.loads((state / "running.json").read_text())
    key = (state / "api_key").read_text().strip()
    return {
        "url": running["url"] + CHAT,
        "headers": {"authorization": f"Bearer {key}"},
        "processes": lambda: family(running["pid"]),
        "role": role_in_blend,
    }


def apply(blend: Mapping[str, Any], place: Place) -> None:
    """`blended apply` to the blend of this name that is up, until all that it wants runs.

    Raises:
        Unavailable: it could not be changed.
    """
    state = _state(blend, place)
    status, last_word = _blended(state, _environ(state), "apply", _written(blend, state), "--yes")
    if status != 0:
        raise Unavailable(f"was not changed: {last_word}")


def _state(blend: Mapping[str, Any], place: Place) -> Path:
    return place.folder / f"state-{blend['name']}"


def _written(blend: Mapping[str, Any], state: Path) -> str:
    source = state / "blend.yaml"
    source.write_text(yaml.safe_dump(dict(blend)))
    return str(source)


def _environ(state: Path) -> dict[str, str]:
    own = ("BLENDED_", "VLLM_API_KEY", "RAY_AUTH_TOKEN", "RAY_ADDRESS")
    env = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return env | {"BLENDED_STATE_DIR": str(state), UPSTREAM_KEY_ENV: "unused", "COLUMNS": "200"}


def _down(state: Path, env: Mapping[str, str]) -> None:
    is_up = (state / "running.json").exists()
    status, last_word = _blended(state, env, "down")
    if is_up and status != 0:
        message = f"{state.name} was not stopped ({last_word}); end its processes by their pids."
        print(message, file=sys.stderr)


def _blended(folder: Path, env: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run the command line; returns its exit status and the last line that it printed."""
    log = folder / f"{arguments[0]}.log"
    program = Path(sys.executable).with_name("blended")
    with spawned([program, *arguments], log, env) as process:
        status = process.wait()
    return status, last_line(log.read_text(errors="replace"))
