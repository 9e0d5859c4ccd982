"""The facts of CRDs without their prose: python -m cluster.rules.crd_facts --out FILE CRD.yaml …

Field names, types, enumerations, bounds and defaults of every served version, as JSON. A subtree
that occurs more than once, such as a pod, is in the file once, under a number.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blended.errors import ConfigError
from cluster.manifests import load_file

Node = Any
# The keys of descriptions, and of rules in CEL.
_DROPPED = ("description", "x-kubernetes-validations", "externalDocs", "example")
_SMALLEST = 60


def read(path: Path) -> dict[str, Node]:
    """The schemas of CRDs, as `kubectl get crd NAME -o yaml` prints them, by version and kind.

    Raises:
        ConfigError: the file is unreadable, or holds something else.
    """
    found = dict[str, Node]()
    for document in load_file(path):
        if document.get("kind") != "CustomResourceDefinition":
            what = document.get("kind")
            raise ConfigError(f"{path} holds a {what}; give a file of CustomResourceDefinitions.")
        try:
            found |= _of(document["spec"])
        except (KeyError, TypeError) as exc:
            message = f"{path} is no whole CustomResourceDefinition ({exc!r}); take it as kubectl"
            raise ConfigError(f"{message} prints it.") from exc
    return found


def _of(spec: Node) -> dict[str, Node]:
    kind = spec["names"]["kind"]
    return {
        f"{spec['group']}/{version['name']} {kind}": version["schema"]["openAPIV3Schema"]
        for version in spec["versions"]
        if version["served"]
    }


def facts(schema: Node, is_fields: bool = False) -> Node:
    """A schema without prose; `is_fields` tells a mapping of fields, which may have any name."""
    if isinstance(schema, list):
        return [facts(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {k: v for k, v in schema.items() if is_fields or k not in _DROPPED}
    return {k: facts(v, not is_fields and k == "properties") for k, v in kept.items()}


def packed(schemas: Mapping[str, Node]) -> dict[str, Node]:
    """The schema with every larger subtree once: `{"$": number}` refers to an entry of `shared`."""
    counts = Counter[str]()

    def count(node: Node) -> None:
        if isinstance(node, dict | list):
            counts[_text(node)] += 1
            if counts[_text(node)] == 1:
                for child in node.values() if isinstance(node, dict) else node:
                    count(child)

    for schema in schemas.values():
        count(schema)
    shared: list[Node] = []
    numbers = dict[str, int]()

    def pack(node: Node) -> Node:
        if not isinstance(node, dict | list):
            return node
        text = _text(node)
        if text in numbers:
            return {"$": numbers[text]}
        small = {k: pack(v) for k, v in node.items()} if isinstance(node, dict) else None
        found: Node = [pack(v) for v in node] if small is None else small
        if counts[text] > 1 and len(text) > _SMALLEST:
            numbers[text] = len(shared)
            shared.append(found)
            return {"$": numbers[text]}
        return found

    return {"schemas": {name: pack(schema) for name, schema in schemas.items()}, "shared": shared}


def unpacked(document: Mapping[str, Any]) -> dict[str, Node]:
    """The schemas that were packed; what they share is one object."""
    shared: list[Node] = []

    def unpack(node: Node) -> Node:
        if isinstance(node, list):
            return [unpack(item) for item in node]
        if not isinstance(node, dict):
            return node
        if node.keys() == {"$"}:
            return shared[node["$"]]
        return {key: unpack(value) for key, value in node.items()}

    for node in document["shared"]:  # each refers only to those before it
        shared.append(unpack(node))
    return {name: unpack(schema) for name, schema in document["schemas"].items()}


def _text(node: Node) -> str:
    return json.dumps(node, sort_keys=True)


def _lines(document: Mapping[str, Any]) -> str:
    """JSON with one line for every schema and every shared part, so that diffs are readable."""
    schemas = (f"{json.dumps(name)}: {_text(node)}" for name, node in document["schemas"].items())
    shared = map(_text, document["shared"])
    parts = (",\n".join(lines) for lines in (schemas, shared))
    return '{{"schemas": {{\n{}\n}}, "shared": [\n{}\n]}}\n'.format(*parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the facts of some CRDs into one file."""
    parser = argparse.ArgumentParser(prog="python -m cluster.rules.crd_facts", description=__doc__)
    parser.add_argument("crds", nargs="+", type=Path, metavar="CRD.yaml")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    schemas = {name: facts(s) for path in options.crds for name, s in read(path).items()}
    options.out.write_text(_lines(packed(schemas)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
