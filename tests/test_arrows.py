"""Which package imports which: one way, without circles."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
SERVE = ROOT / "serve"
# Each imports only what stands before it.
ORDER = (
    *(
        "retry_after",
        "errors",
        "hashing",
        "timestamps",
        "folders",
        "disconnect",
        "html",
        "generated_page",
        "internal",
        "sse",
    ),
    *("demo", "config", "journal", "experiments", "learning", "reward", "tracing", "autoscaling"),
    *("components", "router", "middleware", "app", "launch", "cli", "__main__"),
)


def module(path: Path) -> str:
    """The dotted name of a file of the package."""
    parts = path.relative_to(SERVE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in (SERVE / "blended").rglob("*.py")}


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & MODULES.keys() or {node.module}


GRAPH = {name: set(imported(path)) - {name} for name, path in MODULES.items()}


def package(name: str) -> str:
    """The first part of a module's name below `blended`."""
    return name.split(".")[1]


def test_no_module_imports_itself_by_way_of_others() -> None:
    """All modules can be put in an order."""
    assert len(list(TopologicalSorter(GRAPH).static_order())) >= len(MODULES)


def test_packages_import_in_one_direction() -> None:
    """Nothing imports what is built on top of it."""
    arrows = {(a, b) for a in GRAPH for b in GRAPH[a] if "blended" not in (a, b)}
    places = {(a, b): (ORDER.index(package(a)), ORDER.index(package(b))) for a, b in arrows}

    assert {arrow for arrow, (importer, of) in places.items() if importer < of} == set()


def test_router_and_components_know_nothing_of_each_other() -> None:
    """Either side could be somebody else's."""
    ends = {"router", "components"}
    arrows = {(package(a), package(b)) for a in GRAPH for b in GRAPH[a] if "blended" not in (a, b)}

    assert {(a, b) for a, b in arrows if {a, b} == ends} == set()
