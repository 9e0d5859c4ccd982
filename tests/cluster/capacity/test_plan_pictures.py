"""A plan over the hours of a day, as a picture."""

from pathlib import Path

import pytest

from tests.cluster.capacity.sites import run

DAY = ",".join(["4"] * 16 + ["40"] * 8)


@pytest.mark.parametrize(("name", "begins"), [("day.svg", b"<?xml"), ("day.png", b"\x89PNG")])
def test_a_day_is_drawn(site: Path, name: str, begins: bytes) -> None:
    """The rate, and a line for each component with its fewest and most replicas."""
    assert run(site, "--rate", DAY, "--picture", str(site / name)) == 0
    picture = (site / name).read_bytes()

    assert picture.startswith(begins)
    if name.endswith("svg"):
        text = picture.decode()
        for words in ("pair: responses per second", "small, 2 to ", "large, ", "GPUs at the peak"):
            assert words in text


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--rate", "5", "--picture", "x.svg"), "give --rate with 24 numbers and commas"),
        (("--rate", DAY, "--picture", "x.doc"), "name a file ending in .svg or .png"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    site: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], expected: str
) -> None:
    """With the remedy."""
    assert run(site, *options) == 2
    assert expected in capsys.readouterr().err
