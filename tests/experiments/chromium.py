"""Debian's Chromium without a window, to see what a reader's browser makes of a page."""

import subprocess
from pathlib import Path

from tests.debian import program

_TIMEOUT_S = 60


def dom(page: Path) -> str:
    """What the browser has read of a page, its scripts run."""
    return _run(page, 1280, 900, "--dump-dom")


def screenshot(page: Path, width: int, height: int) -> Path:
    """A picture of the top of a page, beside it."""
    picture = page.with_suffix(".png")
    _run(page, width, height, f"--screenshot={picture}")
    return picture


def _run(page: Path, width: int, height: int, what: str) -> str:
    # Chromium's sandbox does not start for root, nor in most containers.
    command = [
        program("chromium", "chromium"),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
    ]
    own = [f"--user-data-dir={page.with_suffix('.profile')}", f"--window-size={width},{height}"]
    done = subprocess.run(
        [*command, *own, what, page.as_uri()], capture_output=True, text=True, timeout=_TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout
