"""Names every mistake in manifests before they are applied.

`kubectl kustomize OVERLAY | python -m cluster.check` reads them from the standard input, or give
files. It checks RayServices and disruption budgets, and skips other kinds. It checks a RayService
against the fields of KubeRay 1.7, or of your cluster's CRD: `kubectl get crd rayservices.ray.io -o
yaml > crd.yaml`, then `--crd crd.yaml`. With `--live` it also names the requirements that the
cluster of kubectl's context lacks: kinds, operator, namespaces, secrets, Gateways, storage, nodes.
With `--pinned` every image needs its digest.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from blended.errors import BlendedError, ConfigError, Problem
from cluster.live import preflight
from cluster.live.cluster_query import title
from cluster.live.kubectl import Kubectl
from cluster.manifests import Document, load, load_file, of_kind
from cluster.rules import crd, images, pods, service


def problems(documents: Iterable[Document], schema: crd.Schema) -> list[tuple[str, Problem]]:
    """The mistakes of all documents, each with the document's kind and name."""
    return [(title(d), problem) for d in documents for problem in _of(d, schema)]


def _of(document: Document, schema: crd.Schema) -> list[Problem]:
    if document.get("kind") == "PodDisruptionBudget":
        return pods.budget_problems(document)
    if document.get("kind") != "RayService":
        return []
    return crd.problems(document, schema) or service.problems(document)


def _refuse_other(documents: Sequence[Document]) -> None:
    """Refuse input that a check would pass only because there is nothing in it to check."""
    if not documents:
        raise ConfigError(
            "The input has no manifest; look whether the command that builds it has failed."
        )
    for number, document in enumerate(documents, start=1):
        if not (document.get("apiVersion") and document.get("kind")):
            is_blend = "components" in document
            remedy = "check a blend's file with 'blended check'" if is_blend else "give both"
            raise ConfigError(
                f"Document {number} is no manifest: it has no apiVersion and kind; {remedy}."
            )
    if not of_kind(documents, "RayService"):
        kinds = ", ".join(dict.fromkeys(str(document["kind"]) for document in documents))
        raise ConfigError(
            f"The input has no RayService, only {kinds}; give what is applied as a whole, such as "
            "the output of 'kubectl kustomize OVERLAY'."
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Check; returns the exit status: 1 for mistakes, 2 for unreadable files."""
    parser = argparse.ArgumentParser(prog="python -m cluster.check", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="the standard input without any")
    parser.add_argument(
        "--crd",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a CustomResourceDefinition in place of KubeRay 1.7's (may be given again)",
    )
    parser.add_argument("--live", action="store_true", help="ask the cluster what it lacks, too")
    parser.add_argument("--pinned", action="store_true", help="images by their digests, too")
    options = parser.parse_args(arguments)
    try:
        documents = [document for path in options.files for document in load_file(path)]
        if not options.files:
            documents = load(sys.stdin.read(), "the standard input")
        _refuse_other(documents)
        found = problems(documents, crd.schema(tuple(options.crd)))
        if options.pinned:
            found += [(title(d), problem) for d in documents for problem in images.unpinned(d)]
        if options.live:
            found += preflight.problems(documents, Kubectl())
    except BlendedError as exc:
        print(exc, file=sys.stderr)
        return 2
    for what, problem in found:
        print(f"{what}: {problem}")
    count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
    size = "1 document" if len(documents) == 1 else f"{len(documents)} documents"
    print(f"{size}, {count if found else 'no mistakes'}.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
