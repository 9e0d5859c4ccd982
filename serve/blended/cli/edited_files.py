"""Changes of files that people write and that programs read meanwhile."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blended.errors import ConfigError

_BYTE_ORDER_MARK = "\ufeff"


def edit(file: Path, change: Callable[[str], str], missing: str | None = None) -> None:
    """Replace a file's text by what `change` makes of it; `missing` is that of a file to be made.

    One command at a time changes files of a folder.

    Raises:
        ConfigError: the file cannot be read or written, or is no text in UTF-8.
    """
    # A link stays a link: the file that it points to is replaced.
    target = file.resolve()
    try:
        with _locked(target.parent):
            is_new = missing is not None and not target.exists()
            text = missing or "" if is_new else target.read_bytes().decode("utf-8")
            body = text.removeprefix(_BYTE_ORDER_MARK)
            _replace(target, text.removesuffix(body) + change(body))
    except OSError as exc:
        raise ConfigError(f"'{file}' cannot be changed: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"'{file}' cannot be changed: it is not UTF-8.") from exc


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let only one command at a time change files here, so that no change is lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(target: Path, text: str) -> None:
    """Write in one step: a reader gets the old file or the new one, with unchanged access."""
    draft = target.with_name(f".{target.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        if target.exists():
            before = target.stat()
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), before.st_mode & 0o777)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)
