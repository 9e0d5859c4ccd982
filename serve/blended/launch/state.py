"""The state of `blended up` for `down`, `chat` and `models`: the running blend, and its keys."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from blended.errors import LaunchError
from blended.folders import state_dir
from blended.internal import INTERNAL_KEY_ENV
from blended.journal.identity import SECRET_ENV
from blended.router.blend import CLIENT_KEY_ENV


@dataclass(frozen=True)
class Running:
    """A local cluster that `blended up` started.

    `marker` is in the environment of every process of the cluster, and of no other process.
    `starting` says that its blend has not answered yet, and `stopping` that somebody stops it, so
    that its end is no loss.
    """

    blend: str
    url: str
    dashboard_url: str
    metrics_url: str
    marker: str
    temp_dir: str
    pid: int
    stopping: bool = False
    starting: bool = False

    @property
    def logs(self) -> Path:
        """The folder of what Ray and everything on it writes."""
        return ray_folder(self.temp_dir) / "session_latest" / "logs"


def ray_folder(temp_dir: str) -> Path:
    """Ray's folder, which it opens to every user, below one that stays closed to them."""
    return Path(temp_dir) / "ray"


def read_running() -> Running | None:
    """The local cluster that was started last and not stopped since; None if there is none."""
    try:
        return Running(**json.loads((state_dir() / "running.json").read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as exc:
        path = state_dir() / "running.json"
        raise LaunchError(f"'{path}' is damaged ({exc}); delete it and try again.") from exc


def write_running(running: Running) -> None:
    """Remember a local cluster."""
    _write_private(state_dir() / "running.json", json.dumps(asdict(running), indent=1))


def forget_running() -> None:
    """Forget the local cluster, once it is stopped."""
    (state_dir() / "running.json").unlink(missing_ok=True)


def client_key() -> str:
    """The key of the clients: from the environment, else made once and kept for this user."""
    return os.environ.get(CLIENT_KEY_ENV) or _kept_secret("api_key")


def internal_key() -> str:
    """The key between router and components, made and kept likewise."""
    return os.environ.get(INTERNAL_KEY_ENV) or _kept_secret("internal_key")


def journal_secret() -> str:
    """The secret that the journal's ids and users are hashed with, made and kept likewise."""
    return os.environ.get(SECRET_ENV) or _kept_secret("journal_secret")


def ray_token() -> str:
    """The token of Ray's own ports: from the environment, else made and kept likewise."""
    return os.environ.get("RAY_AUTH_TOKEN") or _kept_secret("ray_token")


def ray_token_path() -> Path:
    """The file with the token that Ray's own ports ask for."""
    _kept_secret("ray_token")
    return state_dir() / "ray_token"


def _kept_secret(name: str) -> str:
    path = state_dir() / name
    if not path.exists():
        _write_private(path, secrets.token_hex(24))
    return path.read_text().strip()


def _write_private(path: Path, text: str) -> None:
    # The file is created with its mode, so that other users can never read it.
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
