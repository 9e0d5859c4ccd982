"""Finds JSON schemas that mean only themselves, on which a grammar's compiler fails. Pure.

A schema may refer to itself below a property or an item, as a tree's does. One that refers to
itself in place, by `$ref` alone or inside `allOf` and the like, describes no value.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Json = Any

_IN_PLACE = ("allOf", "anyOf", "oneOf")
_REFERENCE = "$ref"


def has_cycle(document: Json) -> bool:
    """Whether some schema in a document refers to itself in place, by local references."""
    done: set[int] = set()
    return any(_returns(schema, root, (), done) for schema, root in _references(document))


def _references(document: Json) -> Iterator[tuple[Json, Json]]:
    """Every schema that is a reference, with the root that its pointer starts from."""
    waiting = [(document, document)]
    while waiting:
        found, root = waiting.pop()
        if isinstance(found, list):
            waiting += [(inner, root) for inner in found]
        if isinstance(found, Mapping):
            # A schema inside a request: pointers start at it, not at the request.
            waiting += [
                (inner, inner if name in ("schema", "json", "parameters") else root)
                for name, inner in found.items()
            ]
            if isinstance(found.get(_REFERENCE), str):
                yield found, root


def _returns(schema: Json, root: Json, path: tuple[int, ...], done: set[int]) -> bool:
    if not isinstance(schema, Mapping) or id(schema) in done:
        return False
    if id(schema) in path:
        return True
    path = (*path, id(schema))
    if any(_returns(inner, root, path, done) for inner in _in_place(schema, root)):
        return True
    done.add(id(schema))
    return False


def _in_place(schema: Mapping[str, Any], root: Json) -> Iterator[Json]:
    if isinstance(pointer := schema.get(_REFERENCE), str) and pointer.startswith("#"):
        yield _target(pointer, root)
    for name in _IN_PLACE:
        if isinstance(schema.get(name), list):
            yield from schema[name]


def _target(pointer: str, root: Json) -> Json:
    found = root
    for step in pointer[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            found = found.get(name) if isinstance(found, Mapping) else None
    return found
