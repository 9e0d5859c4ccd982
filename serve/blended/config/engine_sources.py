"""The names that the installed Ray and vLLM know, read from their source without loading them.

    python -m blended.config.engine_sources

writes engine_names.json; with `--check` it only says whether the file is up to date.
"""

import ast
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
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


def vllm_arguments() -> Iterator[tuple[str, ast.expr]]:
    """The arguments of vLLM's engine and of its API server, with their types in the source.

    None where it is not installed.
    """
    for module, classes in _CLASSES.items():
        for node in _source("vllm", module).body:
            if isinstance(node, ast.ClassDef) and node.name in classes:
                fields = (item for item in node.body if isinstance(item, ast.AnnAssign))
                named = ((f.target, f.annotation) for f in fields)
                yield from (
                    (t.id, a) for t, a in named if isinstance(t, ast.Name) and t.id[0] != "_"
                )


def _type(annotation: ast.expr, choices: Mapping[str, list[str]]) -> str | list[str] | None:
    """One of `bool`, `int` and `float`, the texts that are allowed, or None for any other type."""
    name = ast.unparse(annotation).removesuffix(" | None")
    return name if name in ("bool", "int", "float") else choices.get(name)


def _choices() -> dict[str, list[str]]:
    """The texts that each named type of vLLM's configuration allows."""
    found: dict[str, list[str]] = {}
    for path in sorted(_folder("vllm").glob("config/*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and (texts := _texts(node.value)):
                found |= {ast.unparse(target): texts for target in node.targets}
    return found


def _texts(node: ast.expr) -> list[str]:
    """The items of a literal type; none unless all are texts."""
    if not isinstance(node, ast.Subscript) or ast.unparse(node.value) != "Literal":
        return []
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    values = [item.value for item in items if isinstance(item, ast.Constant)]
    texts = [value for value in values if isinstance(value, str)]
    return texts if len(texts) == len(items) else []


def accelerators() -> Iterator[str]:
    """The types of accelerators that Ray takes."""
    yield _ALIAS
    for node in _source("ray", _ACCELERATORS).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


def _source(package: str, module: str) -> ast.Module:
    path = _folder(package) / module
    return ast.parse(path.read_text("utf-8") if path.is_file() else "")


def _folder(package: str) -> Path:
    """Where a package is installed; a folder that is not there if it is not."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else Path("not installed") / package


def text() -> str:
    """The file's text, from what is installed."""
    choices = _choices()
    types = {name: _type(annotation, choices) for name, annotation in vllm_arguments()}
    found = {
        "made_from": {name: _version(name) for name in ("ray", "vllm")},
        "accelerators": sorted(set(accelerators())),
        "vllm_arguments": dict(sorted(types.items())),
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
