"""The file of the clients' API keys: YAML with their names, hashes and limits.

No message repeats a value of the file: the value may be a secret in the wrong place.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AwareDatetime, ConfigDict, Field, ValidationError

from blended.config import Frozen, Identifier, strict_yaml
from blended.errors import ConfigError, Problem, field_path
from blended.router.blend import CLIENT_KEY_ENV

_RESERVED = {"default": f"the key in {CLIENT_KEY_ENV}", "anonymous": "clients without a key"}
_REMEDIES = {
    "name": "a name has up to 40 lower-case letters, digits and dashes; choose another",
    "sha256": "a SHA-256 in hex has 64 digits; 'blended keys new' makes a key and its hash",
}
PerMinute = Annotated[int, Field(ge=1)]


class KeyEntry(Frozen):
    """One key in the file; `sha256` is the hash of the key in hex, None means no limit."""

    model_config = ConfigDict(hide_input_in_errors=True)

    name: Identifier
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$", repr=False)]
    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    expires: AwareDatetime | None = None


class KeysFile(Frozen):
    """The whole file."""

    model_config = ConfigDict(hide_input_in_errors=True)

    keys: tuple[KeyEntry, ...]


def read(path: str | Path) -> tuple[KeyEntry, ...]:
    """The keys in a file.

    Raises:
        ConfigError: the file is missing, unreadable or bad.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"The keys file '{path}' cannot be read: {reason}.") from None
    return parse(text, str(path))


def parse(text: str, source: str) -> tuple[KeyEntry, ...]:
    """Check the text of a keys file; `source` names it in errors.

    Raises:
        ConfigError: with one line for each mistake.
    """
    # Every error drops its cause, because the causes' messages quote the file.
    try:
        document = strict_yaml.compose(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = "" if mark is None else f" at line {mark.line + 1}"
        raise ConfigError(
            f"The keys file '{source}' is not valid YAML, has a field twice or is nested too deep"
            f"{where}."
        ) from None
    found = [*_repetitions(document)]
    try:
        checked = KeysFile.model_validate(document.data)
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
        found += [replace(_problem(e), line=document.line(e["loc"])) for e in errors]
    if found:
        count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
        found.sort(key=lambda problem: problem.line or 0)
        lines = "\n".join(f"  {strict_yaml.place(source, p.line)}: {p}" for p in found)
        raise ConfigError(f"The keys file '{source}' has {count}:\n{lines}")
    return checked.keys


def _repetitions(document: strict_yaml.Document) -> Iterator[Problem]:
    data = document.data
    entries = data.get("keys") if isinstance(data, Mapping) else None
    first: dict[tuple[str, str], int] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        for name in ("name", "sha256"):
            value = entry.get(name) if isinstance(entry, Mapping) else None
            if not isinstance(value, str):
                continue
            path, line = f"keys[{index}].{name}", document.line(("keys", index, name))
            known = first.setdefault((name, value.lower()), index)
            if known != index:
                yield Problem(path, f"the same as that of keys[{known}]; each needs its own", line)
            if name == "name" and value in _RESERVED:
                message = f"this name is kept for {_RESERVED[value]}; choose another"
                yield Problem(path, message, line)


def _problem(error: Any) -> Problem:
    *parents, last = error["loc"] or ("",)
    path = field_path(parents)
    if error["type"] == "extra_forbidden":
        known = KeyEntry.model_fields if parents else KeysFile.model_fields
        close = difflib.get_close_matches(str(last), known, n=1)
        remedy = f"did you mean '{close[0]}'?" if close else f"the fields are {', '.join(known)}"
        return Problem(path, f"there is an unknown field; {remedy}")
    path = field_path([last], path)
    if error["type"] == "missing":
        return Problem(path, "this field is required; add it")
    if error["type"] == "model_type":
        return Problem(path.strip("."), "this has no fields; write a mapping")
    said = error["msg"].removeprefix("Value error, ")
    message = _REMEDIES.get(str(last)) or said[:1].lower() + said[1:]
    return Problem(path, message)
