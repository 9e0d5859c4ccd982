"""The table of what is proven, and where."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def claims() -> dict[str, list[Path]]:
    """The claims of the table, each with its test modules and folders of them.

    In a row a path that does not begin with `tests/` lies in the folder of the path before it.
    """
    text = (ROOT / "docs" / "proven.md").read_text()
    found = {}
    for claim, names in re.findall(r"^\| (.*) \| (`.*`) \|$", text, re.MULTILINE):
        paths: list[Path] = []
        for name in re.findall(r"`([^`]+)`", names):
            folder = ROOT if name.startswith("tests/") else paths[-1].parent
            paths.append(folder / name)
        found[claim] = paths
    return found


def test_every_claim_has_a_test_that_is_there() -> None:
    """Each row names modules, or folders of modules."""
    assert len(claims()) > 50
    for claim, paths in claims().items():
        for path in paths:
            assert path.is_file() or list(path.glob("test_*.py")), f"{claim}: there is no {path}"


def test_every_test_module_stands_behind_a_claim() -> None:
    """No promise without a line, as far as modules tell of it."""
    named = {path for paths in claims().values() for path in paths}
    modules = (ROOT / "tests").rglob("test_*.py")

    assert [m for m in modules if not named & {m, *m.parents} and m != Path(__file__)] == []
