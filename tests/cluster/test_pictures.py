"""The pictures of boxes and arrows: what an edit does, and the way of a request."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from cluster import diff
from cluster.manifests import dump
from cluster.pictures import request_path
from tests.cluster.edits import Pair, Step, engine, removed, setting, top

ROOT = Path(__file__).parents[2]


def texts(svg: str) -> list[str]:
    """Every line of text of a picture, in the order in which it is drawn."""
    found = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return [element.text or "" for element in found]


def drawn(folder: Path, step: Step, upgrade: str = "None") -> str:
    """The picture that the command draws of an edit, as one text."""
    edit = Pair(step, upgrade=upgrade).edit()
    assert edit.old is not None
    old, new, picture = folder / "old.yaml", folder / "new.yaml", folder / "edit.svg"
    old.write_text(dump(edit.old))
    new.write_text(dump(edit.new))
    assert diff.main([str(old), str(new), "--picture", str(picture)]) == 0
    return " ".join(texts(picture.read_text()))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            engine(max_model_len=1024),
            (
                "The pods stay as they are",
                "router STAYS as it is",
                "small RESTARTS The engine of 'small' changes",
                "large STAYS as it is",
            ),
        ),
        (
            top(selection={"weights": {"small": 3, "large": 1}}),
            ("router CHANGES without a restart Weights: small 50 % → 75 %", "small STAYS"),
        ),
        (removed(), ("small LEAVES Component 'small' is removed", "large STAYS as it is")),
        (
            setting(image="blended-gpu:2"),
            ("KubeRay IGNORES the change of pods", "Delete the RayCluster", "small STAYS"),
        ),
    ],
)
def test_an_edit_is_drawn_with_what_restarts_marked(
    step: Step, expected: tuple[str, ...], tmp_path: Path
) -> None:
    """The pods in the frame, and in it the router and each component with its reasons."""
    said = drawn(tmp_path, step)

    for words in expected:
        assert words in said, said


def test_a_second_cluster_starts_every_part_again(tmp_path: Path) -> None:
    """Nothing stays in a picture of it."""
    said = drawn(tmp_path, setting(image="blended-gpu:2"), "NewCluster")

    assert "A SECOND CLUSTER starts, with all of its GPUs" in said
    assert said.count("STARTS AGAIN in the second cluster") == 3
    assert "STAYS" not in said


def test_a_picture_of_an_edit_needs_what_was_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A running cluster alone does not tell of the blend."""
    with pytest.raises(SystemExit):
        diff.main(["new.yaml", "--live", "live.yaml", "--picture", str(tmp_path / "x.svg")])

    assert "give OLD and NEW" in capsys.readouterr().err


def test_a_picture_of_an_edit_is_an_svg_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another ending would promise another kind of file."""
    with pytest.raises(SystemExit):
        diff.main(["old.yaml", "new.yaml", "--picture", str(tmp_path / "x.png")])

    assert "x.png' is no SVG file; end its name in .svg" in (capsys.readouterr().err)
    assert not (tmp_path / "x.png").exists()


def test_the_example_in_the_docs_is_what_is_drawn(tmp_path: Path) -> None:
    """docs/kuberay.md has the edit: more context for the first component of k8s/base."""
    base = (ROOT / "k8s/base/rayservice.yaml").read_text()
    new, picture = tmp_path / "new.yaml", tmp_path / "edit.svg"
    new.write_text(base.replace('"max_model_len": 16384', '"max_model_len": 32768', 1))
    old = str(ROOT / "k8s/base/rayservice.yaml")

    assert diff.main([old, str(new), "--picture", str(picture)]) == 0
    assert picture.read_text() == (ROOT / "docs/edit-example.svg").read_text()


def test_the_way_of_a_request_is_up_to_date_and_has_every_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many numbers as docs/architecture.md has steps."""
    monkeypatch.chdir(ROOT)
    life = (ROOT / "docs/architecture.md").read_text().split("## What is where")[0]
    steps = [line.split(".")[0] for line in life.splitlines() if line[:1].isdigit()]
    shown = texts((ROOT / "docs/request-path.svg").read_text())

    assert request_path.main(["--check"]) == 0
    assert sorted(line for line in shown if line.isdigit()) == sorted(steps)
