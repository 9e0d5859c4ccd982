"""Kubernetes manifests as plain documents: read strictly, written, found by kind, taken apart."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from blended.config import strict_yaml
from blended.config.shown_values import shown
from blended.config.strict_yaml import StrictLoader
from blended.errors import ConfigError
from cluster.yaml_scalars import AMBIGUOUS

Document = dict[str, Any]

CLUSTER = "spec.rayClusterConfig"
SERVE = "spec.serveConfigV2"

_DECIMAL = {"n": -3, "u": -2, "m": -1, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_UNITS = {"": Decimal(1)}
_UNITS |= {suffix: Decimal(1000) ** power for suffix, power in _DECIMAL.items()}
_UNITS |= {suffix: Decimal(1024) ** power for suffix, power in _BINARY.items()}


@dataclass(frozen=True)
class GroupSpec:
    """One group of equal pods of a RayService: the head, or a worker group; `path` is its place."""

    path: str
    name: str
    spec: Document
    head: bool = False

    @property
    def pod_spec(self) -> Document:
        """What the pods are made from."""
        found: Document = at(self.spec, "template", "spec")
        return found

    @property
    def ray_container(self) -> Document:
        """The container that Ray runs in: always the first."""
        containers: list[Document] = self.pod_spec.get("containers") or [{}]
        return containers[0]


def load(text: str, source: str) -> list[Document]:
    """The documents of a YAML text, and those in a List, as kubectl prints several objects.

    Empty documents are left out; `source` names the text in errors.

    Raises:
        ConfigError: the text is no YAML, has a key twice, or a document is not a mapping.
    """
    try:
        documents = [d for d in yaml.load_all(text, Loader=StrictLoader) if d is not None]
    except yaml.YAMLError as exc:
        raise strict_yaml.not_yaml(exc, source) from None
    for document in documents:
        if not isinstance(document, dict):
            found = shown(document)
            raise ConfigError(f"{source} holds {found}, which is no manifest; give a mapping")
    return [found for document in documents for found in _listed(document)]


def _listed(document: Document) -> list[Document]:
    is_list = str(document.get("kind", "")).endswith("List") and "items" in document
    return (document["items"] or []) if is_list else [document]


def load_file(path: Path) -> list[Document]:
    """The documents of a file.

    Raises:
        ConfigError: it cannot be read, or contains no manifests.
    """
    try:
        return load(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"'{path}' cannot be read: {exc}") from exc


def dump(document: Document) -> str:
    """A document as YAML for people: keys in their order, texts of several lines as blocks.

    Every text that some YAML reader would understand differently is quoted.
    """
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def of_kind(documents: Iterable[Document], kind: str) -> list[Document]:
    """The documents of one kind, in their order."""
    return [document for document in documents if document.get("kind") == kind]


def at(document: Mapping[str, Any], *keys: str) -> Any:
    """The value at a path of keys; an empty mapping if there is none."""
    found: Any = document
    for key in keys:
        found = (found.get(key) if isinstance(found, Mapping) else None) or {}
    return found


def groups(rayservice: Document) -> list[GroupSpec]:
    """The head and the worker groups of a RayService, in their order."""
    cluster = at(rayservice, "spec", "rayClusterConfig")
    workers = cluster.get("workerGroupSpecs") or []
    return [
        GroupSpec(f"{CLUSTER}.headGroupSpec", "head", at(cluster, "headGroupSpec"), head=True),
        *(
            GroupSpec(f"{CLUSTER}.workerGroupSpecs[{i}]", str(spec.get("groupName")), spec)
            for i, spec in enumerate(workers)
        ),
    ]


def serve_config(rayservice: Document) -> Document:
    """The Serve config, which is a text in a RayService.

    Raises:
        ConfigError: the text is no YAML, has a key twice, or is not one mapping.
    """
    text = at(rayservice, "spec").get("serveConfigV2") or ""
    documents = load(text, SERVE)
    if len(documents) != 1:
        raise ConfigError(f"{SERVE} holds {len(documents)} documents; give one Serve config")
    try:
        # JSON's numbers are not all numbers to PyYAML: 1e-05.
        found: Document = json.loads(text)
    except ValueError:
        return documents[0]
    return found


def environment(container: Document) -> Document:
    """The variables of a container by their names, each as it is written there."""
    return {str(variable.get("name")): variable for variable in container.get("env") or []}


def ray_version(cluster: Document) -> tuple[int, ...]:
    """Major and minor version of Ray in a cluster's image, if the manifest states it."""
    found = re.fullmatch(r"(\d+)\.(\d+)(\.\d+)?", str(cluster.get("rayVersion", "")))
    return (int(found[1]), int(found[2])) if found else ()


def pod(group: GroupSpec) -> Document:
    """A group's template as a Pod, the form that Kubernetes' schemas know."""
    metadata = {"name": group.name, **at(group.spec, "template", "metadata")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": group.pod_spec}


def quantity(text: str | int | float) -> Decimal:
    """A quantity of Kubernetes as a number: `500m` is 0.5, `8Gi` is 8,589,934,592.

    Raises:
        ValueError: it is no quantity.
    """
    given = str(text)
    suffix = next((s for s in (given[-2:], given[-1:]) if s in _UNITS and s), "")
    try:
        return Decimal(given.removesuffix(suffix)) * _UNITS[suffix]
    except InvalidOperation as exc:
        raise ValueError(f"{given!r} is no quantity; write 2, 500m or 8Gi") from exc


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, no anchors, and quotes ambiguous texts."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
# A text that resolves to another tag than a text's is quoted.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:ambiguous", AMBIGUOUS, None)
