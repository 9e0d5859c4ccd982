"""The differences between two JSON documents, and their description."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

# Path, old value, new value; None if there is no value.
Difference = tuple[tuple[str, ...], Any, Any]

# Not shown in terminals: variables may contain keys, and the seed determines every draw.
_UNSHOWN = {"env", "seed"}
_LONGEST_VALUE = 40


def differences(old: Any, new: Any, path: tuple[str, ...] = ()) -> list[Difference]:
    """Every leaf in which two documents differ; lists are compared as wholes."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return [] if old == new else [(path, old, new)]
    pairs = ((key, old.get(key), new.get(key)) for key in {**old, **new})
    return [d for key, before, after in pairs for d in differences(before, after, (*path, key))]


def shown(found: Iterable[Difference]) -> str:
    """For example `max_model_len 1024 → 2048, env.HF_TOKEN`: possible secrets have no values."""
    return ", ".join(_shown(".".join(path), path, old, new) for path, old, new in found)


def _shown(name: str, path: tuple[str, ...], old: Any, new: Any) -> str:
    return name if _UNSHOWN & set(path) else f"{name} {_text(old)} → {_text(new)}"


def _text(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
