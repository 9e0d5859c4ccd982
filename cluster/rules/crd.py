"""Checks documents strictly against the CRDs of KubeRay and the Gateway API: no unknown field
passes.

The facts of these CRDs are kept here (`cluster.rules.crd_facts`): of KubeRay 1.7 and of the Gateway
API 1.4. A cluster's own CRDs can take their place.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators

from blended.errors import Problem, field_path
from cluster.manifests import Document
from cluster.rules import crd_facts

_KNOWN = {"KubeRay 1.7": "kuberay-1.7.json", "the Gateway API 1.4": "gateway-api-1.4.json"}
_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_METADATA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "namespace": _TEXT,
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "finalizers": {"type": "array", "items": _TEXT},
    },
}

_INT32 = {"minimum": -(2**31), "maximum": 2**31 - 1}


@dataclass(frozen=True)
class Schema:
    """Schemas by `apiVersion` and `kind`; `source` says where they are from."""

    source: str
    validators: Mapping[tuple[str, str], Any]


@lru_cache
def schema(files: tuple[Path, ...] = ()) -> Schema:
    """The known schemas; the CRDs in `files` replace those of their kinds.

    Raises:
        ConfigError: a file is unreadable, or contains something else.
    """
    found = dict[str, Any]()
    for name in _KNOWN.values():
        found |= crd_facts.unpacked(json.loads(Path(__file__).with_name(name).read_text()))
    for file in files:
        found |= crd_facts.read(file)
    source = " and ".join([*_KNOWN, *(f"'{file}'" for file in files)])
    return Schema(source, {_key(name): _validator(node) for name, node in found.items()})


def _key(name: str) -> tuple[str, str]:
    version, kind = name.split()
    return version, kind


def problems(document: Document, schema: Schema) -> list[Problem]:
    """Every field of a document that its CRD does not have, or whose value it does not allow."""
    key = str(document.get("apiVersion")), str(document.get("kind"))
    if key not in schema.validators:
        known = ", ".join(f"{version} {kind}" for version, kind in schema.validators)
        message = f"{schema.source} have no {key[0]} {key[1]}; they have {known}"
        return [Problem("kind", message)]
    errors = schema.validators[key].iter_errors(document)
    # Several missing fields of one mapping are several errors, each with all of them.
    return list(dict.fromkeys(problem for error in errors for problem in _problems(error)))


def _validator(openapi: Document) -> Any:
    top = openapi | {"properties": openapi["properties"] | {"metadata": _METADATA}}
    required = {"required": ["apiVersion", "kind", "metadata", "spec"]}
    return _Validator(_strict(top | required))


def _strict(node: Any) -> Any:
    """An OpenAPI schema of Kubernetes as a JSON schema that allows no other fields."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    strict = {key: _strict(value) for key, value in node.items() if key != "properties"}
    if "properties" in node:
        strict["properties"] = {name: _strict(field) for name, field in node["properties"].items()}
        if node.get("type") == "object" and not node.get("x-kubernetes-preserve-unknown-fields"):
            strict.setdefault("additionalProperties", False)
        # The API server fills in defaults before it looks for missing fields.
        given = {name for name, field in node["properties"].items() if "default" in field}
        strict["required"] = [name for name in node.get("required", ()) if name not in given]
    if node.get("x-kubernetes-int-or-string"):
        strict.pop("type", None)
    if node.get("nullable") and "type" in node:
        strict["type"] = [node["type"], "null"]
    return strict | (_INT32 if node.get("format") == "int32" and "minimum" not in node else {})


def _equal_keys(_: Any, keys: list[str], items: Any, node: Document) -> Iterator[ValidationError]:
    """The API server refuses two items of such a list that have the same keys."""
    if not isinstance(items, list):
        return
    seen = set()
    defaults = {key: node["items"]["properties"][key].get("default") for key in keys}
    mappings = [(i, item) for i, item in enumerate(items) if isinstance(item, dict)]
    for i, item in mappings:
        found = tuple(str(item.get(key, defaults[key])) for key in keys)
        if found in seen:
            message = f"{' '.join(found)} stands here twice; remove one of them"
            yield ValidationError(message, path=[i])
        seen.add(found)


_Validator = validators.extend(Draft202012Validator, {"x-kubernetes-list-map-keys": _equal_keys})


def _problems(error: ValidationError) -> Iterator[Problem]:
    steps = list(error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        for key in sorted(error.instance.keys() - known.keys()):
            message = f"there is no field '{key}'; {_closest(key, known)}"
            yield Problem(field_path([*steps, key]), message)
    elif error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        for key in missing:
            yield Problem(field_path([*steps, key]), "is required; write it")
    else:
        yield Problem(field_path(steps), error.message)


def _closest(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key, list(known), n=1)
    return f"did you mean '{close[0]}'?" if close else "remove it"
