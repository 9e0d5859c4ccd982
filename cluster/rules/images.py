"""Images that are named by a tag, which another image may have tomorrow."""

import re
from collections.abc import Iterator
from typing import Any

from blended.errors import Problem
from cluster.manifests import Document

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def unpinned(document: Document) -> list[Problem]:
    """Each image of a container, wherever it stands in a document, that no digest names."""
    return [
        Problem(path, f"'{image}' is named by a tag, which may be moved; name it by its digest")
        for path, image in _images(document, "")
        if not _DIGEST.search(image)
    ]


def _images(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        # What has an image and a name is a container, whatever kind the document is of.
        if isinstance(image := value.get("image"), str) and "name" in value:
            yield f"{path}.image", image
        for key, part in value.items():
            yield from _images(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _images(part, f"{path}[{index}]")
