"""The folder of this user's state on this machine: keys, running blends, the journal."""

import os
from pathlib import Path

STATE_DIR_ENV = "BLENDED_STATE_DIR"


def state_dir() -> Path:
    """The folder of this user's state, created on first use and closed to other users."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(os.environ.get(STATE_DIR_ENV) or Path(base) / "blended")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
