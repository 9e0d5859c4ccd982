"""The keys that a model of a file knows, by their places in the file."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

# In pydantic's paths, but not in the file's, the kind of a component or reward model is a step.
COMPONENT_KINDS = ("vllm", "remote", "simulated")
REWARD_KINDS = ("vllm", "local", "simulated")
KINDS = (*COMPONENT_KINDS, "local")
# Keys of other systems, and what they are here.
_OTHER_WORDS = {
    "gpus": "tensor_parallel_size",
    "num_gpus": "tensor_parallel_size",
    "gpu_type": "accelerator",
}
# The least similarity of a word to the one that it is taken for.
_ALIKE = 0.7


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody may have meant; None if none is like it."""
    names = sorted(known)
    lower = {known.lower(): known for known in names}
    if name.lower() in lower:
        return lower[name.lower()]
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=_ALIKE)), None)


def unknown_key(steps: Sequence[int | str], model: type[BaseModel], missing: Sequence[str]) -> str:
    """What to write in place of an unknown key: one like it here, its place, or the keys here."""
    key, here = str(steps[-1]), models_at(model, steps)
    known = keys(here)
    if f"{key}_env" in known:
        return (
            f"unknown key '{key}'; put its value into a variable of the router's environment, and "
            f"name that variable under '{key}_env'"
        )
    other = _OTHER_WORDS.get(key)
    if near := other if other in known else closest(key, missing) or closest(key, known):
        return f"unknown key {key!r}; did you mean '{near}'?"
    for name in known:
        if key in keys(models_at(model, [*steps[:-1], name, ""])):
            return f"unknown key '{key}'; it belongs under '{name}', beside this one"
    if near := closest(key, _all_keys(model)):
        meant = "it belongs to another place or kind." if near == key else f"did you mean '{near}'?"
        return f"unknown key '{key}'; {meant} The keys here are {', '.join(known)}"
    return f"unknown key {key!r}; remove it: the keys here are {', '.join(known)}"


def models_at(model: type[BaseModel], steps: Sequence[int | str]) -> set[type[BaseModel]]:
    """The models that may stand at a path but its last step."""
    found = {model}
    for step in steps[:-1]:
        if step in KINDS and any("kind" in m.model_fields for m in found):
            found = {m for m in found if step in get_args(m.model_fields["kind"].annotation)}
        elif isinstance(step, str):
            fields = [m.model_fields[step] for m in found if step in m.model_fields]
            found = set().union(*(_models(field.annotation) for field in fields)) or found
    return found


def _models(annotation: Any) -> set[type[BaseModel]]:
    """The models that an annotation names, not those inside of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    if get_origin(annotation) is Literal:
        return set()
    return set().union(*(_models(argument) for argument in get_args(annotation)))


def keys(models: Iterable[type[BaseModel]]) -> list[str]:
    """The keys of models, each once, in their order."""
    in_order = sorted(models, key=lambda model: model.__name__)
    return list(dict.fromkeys(key for model in in_order for key in model.model_fields))


def _all_keys(model: Any) -> set[str]:
    """Every key that may occur anywhere below a model."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        fields = model.model_fields
        return set(fields).union(*(_all_keys(f.annotation) for f in fields.values()))
    return set().union(*(_all_keys(arg) for arg in get_args(model)))
