"""The documents: their links lead somewhere, and what they name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "k8s" / "README.md"])
FOLDERS = ("serve", "cluster", "loadtests", "tests", "k8s", "docs")


def pages() -> list[str]:
    """The pages, by their paths from the root."""
    return [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", pages())
def test_links_and_pictures_lead_somewhere(page: str) -> None:
    """Each relative one is a file, from where the page lies."""
    text = re.sub(r"`[^`\n]*`", "", _text(page))  # code is no link
    found = [*re.findall(r"\]\(([^)#\s]+)[^)]*\)", text), *re.findall(r'src="([^"]+)"', text)]
    relative = [link for link in found if "://" not in link]

    assert [link for link in relative if not (ROOT / page).parent.joinpath(link).exists()] == []


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


def test_the_readme_is_short() -> None:
    """One sitting."""
    assert len(_text("README.md").splitlines()) <= 180


def test_every_module_of_the_package_is_in_the_tree() -> None:
    """Where the architecture is told; the demo's and the migrations' are one line."""
    tree = _text("docs/architecture.md").split("## What is where")[1]
    modules = {
        path
        for path in (ROOT / "serve" / "blended").rglob("*.py")
        if path.stem != "__init__" and not {"demo", "migrations"} & set(path.parts)
    }

    assert sorted(m.stem for m in modules if not re.search(rf"\b{m.stem}\b", tree)) == []


def _text(page: str) -> str:
    return (ROOT / page).read_text()
