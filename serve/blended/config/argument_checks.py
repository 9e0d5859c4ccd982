"""Checks of the values of an engine's arguments, by the types that vLLM declares."""

from collections.abc import Iterator, Mapping
from typing import Any

from blended.config.engine_names import argument_types
from blended.config.inconsistency import Inconsistency, Path, error, is_number
from blended.config.known_keys import closest
from blended.config.shown_values import shown


def of_component(at: Path, component: Mapping[str, Any]) -> Iterator[Inconsistency]:
    """Every argument with a value that its type has not; none for a component without an engine."""
    engine = component.get("engine") if component.get("kind") == "vllm" else None
    args = engine.get("args") if isinstance(engine, Mapping) else None
    types = argument_types()
    for name, value in args.items() if isinstance(args, Mapping) else ():
        if value is not None and (remedy := _remedy(types.get(name), value)):
            path = (*at, "engine", "args", str(name))
            yield path, value, error(f"{shown(value, path)} is not valid: {remedy}")


def _remedy(expected: str | list[str] | None, value: Any) -> str | None:
    """What to write in place of a value; None if it is right, or nobody knows."""
    if isinstance(expected, list):
        # Some options take dashes as well.
        plain = str(value).replace("-", "_")
        return None if plain in expected else _choice(expected, value)
    if expected == "bool":
        return None if isinstance(value, bool) else "write true or false"
    if expected == "int":
        is_whole = is_number(value) and isinstance(value, int)
        return None if is_whole else "write a whole number in digits alone"
    if expected == "float":
        return None if is_number(value) else "write a number without a unit, such as 0.5"
    return None


def _choice(choices: list[str], value: Any) -> str:
    near = closest(value, choices) if isinstance(value, str) else None
    meant = f"did you mean '{near}'? There" if near else "there"
    return f"{meant} are {', '.join(choices)}"
