"""The names that the installed Ray and vLLM know, read from their source without loading them.

    python -m blended.config.engine_sources

writes engine_names.json; with `--check` it only says whether the file is up to date.
"""

import ast
import json
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from blended import generated_page

PATH = Path("serve/blended/config/engine_names.json")

# By module, the classes whose fields are arguments of an engine, as Ray reads them.
_CLASSES = {
    "engine/arg_utils.py": ("EngineArgs", "AsyncEngineArgs"),
    "entrypoints/launchers/cli_args.py": ("BaseFrontendArgs", "FrontendArgs"),
}
_ACCELERATORS = "util/accelerators/accelerators.py"
# Ray takes it for A10G.
_ALIAS = "A10"


def vllm_arguments() -> Iterator[str]:
    """The arguments of vLLM's engine and of its API server; none where it is not installed."""
    for module, classes in _CLASSES.items():
        for node in _source("vllm", module).body:
            if isinstance(node, ast.ClassDef) and node.name in classes:
                fields = (item.target for item in node.body if isinstance(item, ast.AnnAssign))
                yield from (f.id for f in fields if isinstance(f, ast.Name) and f.id[0] != "_")


def accelerators() -> Iterator[str]:
    """The types of accelerators that Ray takes."""
    yield _ALIAS
    for node in _source("ray", _ACCELERATORS).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


def _source(package: str, module: str) -> ast.Module:
    spec = find_spec(package)
    path = Path(spec.origin).parent / module if spec and spec.origin else None
    return ast.parse(path.read_text("utf-8") if path and path.is_file() else "")


def text() -> str:
    """The file's text, from what is installed."""
    found = {
        "made_from": {name: _version(name) for name in ("ray", "vllm")},
        "accelerators": sorted(set(accelerators())),
        "vllm_arguments": sorted(set(vllm_arguments())),
    }
    return json.dumps(found, indent=1) + "\n"


def _version(package: str) -> str:
    """The version of a package, which may be installed under another name."""
    return version(packages_distributions()[package][0]).partition("+")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file, or compare it; 1 if it is not up to date."""
    return generated_page.run("blended.config.engine_sources", PATH, text(), arguments)


if __name__ == "__main__":
    sys.exit(main())
