"""Values of a file as a message may show them: nothing that may be a secret, nothing long."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

# Stands for a value that may be a secret.
HIDDEN = "this value"
_LONGEST = 60
# Names of fields, and beginnings of texts, behind which people keep secrets.
_SECRET_NAME = re.compile(
    r"(^|[_-])(key|token|secret|password|passwd|auth\w*|cookie|credentials?|headers?|env)($|[_-])",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"(?<![\w-])((sk-|xox[a-z]-|Bearer |Basic )[^\s',;]+"
    r"|(hf_|gh[pousr]_|AKIA|eyJ)[A-Za-z0-9]{12,}\S*"
    # A variable or an option with its value.
    r"|[\w-]*(?i:key|token|secret|passw)[\w-]*=[^\s',;]+"
    r"|--[\w-]*(?i:key|token|secret|passw)[\w-]*\s+[^\s',;]+)"
)
# All before the last @: a password may have any character, and the scheme may be forgotten.
_CREDENTIALS = re.compile(r"^(\w+://)?.*@", re.DOTALL)
_QUERY = re.compile(r"(://[^\s?#]*)[?#].*")


def shown(value: Any, steps: Iterable[int | str] = (), written: str | None = None) -> str:
    """A value at a path, as it is written in the file if that is known."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if any(isinstance(step, str) and _SECRET_NAME.search(step) for step in steps):
        return HIDDEN
    if not isinstance(value, str):
        return written or (value.isoformat() if isinstance(value, date) else str(value))
    if _SECRET_TEXT.match(value):
        return HIDDEN
    text = _QUERY.sub(r"\1?…", _CREDENTIALS.sub(r"\1…@", value))
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def without_secrets(text: str) -> str:
    """A sentence in which no word looks like a key."""
    return _SECRET_TEXT.sub("…", text)
