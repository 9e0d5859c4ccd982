"""The objects of a Kubernetes cluster, by kubectl and its current context."""

import json
import shutil
import subprocess
from typing import Any, Protocol

from blended.errors import ConfigError
from cluster.manifests import Document

_WITHIN_S = 30
# The names of a secret's entries, without their values.
_ENTRIES = "go-template={{range $name, $value := .data}}{{$name}} {{end}};"


class Kubernetes(Protocol):
    """A cluster that can be asked."""

    def get(self, kind: str, namespace: str | None = None) -> list[Document]:
        """The objects of a kind, of all namespaces without one."""

    def entries(self, secret: str, namespace: str) -> set[str] | None:
        """The names of what is in a secret; None if there is no such secret."""


class Kubectl:
    """The cluster of kubectl's context.

    Raises:
        ConfigError: from each method, if kubectl is missing, cannot reach the cluster, or has no
            right to ask.
    """

    def get(self, kind: str, namespace: str | None = None) -> list[Document]:
        """The objects of a kind, of all namespaces without one."""
        where = ("--all-namespaces",) if namespace is None else (f"--namespace={namespace}",)
        found: dict[str, Any] = json.loads(_run("get", kind, *where, "--output=json"))
        items: list[Document] = found["items"]
        return items

    def entries(self, secret: str, namespace: str) -> set[str] | None:
        """The names of what is in a secret; None if there is no such secret."""
        where = (f"--namespace={namespace}", "--ignore-not-found", f"--output={_ENTRIES}")
        found = _run("get", "secret", secret, *where)
        return set(found.strip().removesuffix(";").split()) if found.strip() else None


def _run(*arguments: str) -> str:
    if shutil.which("kubectl") is None:
        raise ConfigError("kubectl is not installed; the cluster cannot be asked without it.")
    command = ("kubectl", *arguments, f"--request-timeout={_WITHIN_S}s")
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        last = (found.stderr.strip() or "it said nothing").splitlines()[-1]
        raise ConfigError(f"`{' '.join(command[:3])}` failed: {last}")
    return found.stdout
