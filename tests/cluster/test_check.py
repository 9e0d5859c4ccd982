"""`cluster.check` of input that is no RayService: it passes on nothing."""

import io
from pathlib import Path

import pytest

from cluster import check

ROOT = Path(__file__).parents[2]
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The input has no manifest; look whether the command that builds it has failed."),
        ("---\n---\n", "The input has no manifest"),
        ("apiVersion: v1\nkind: List\nitems: []\n", "The input has no manifest"),
        (NAMESPACE, "The input has no RayService, only Namespace; give what is applied as a whole"),
        ("name: x\ncomponents: []\n", "Document 1 is no manifest: it has no apiVersion and kind; "),
        (NAMESPACE + "---\nkind: RayService\n", "Document 2 is no manifest"),
        ("- a\n", "the standard input holds a list, which is no manifest"),
        ("a: [\n", "the standard input:2: this is not valid YAML"),
    ],
)
def test_what_holds_no_rayservice_fails(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the output of a command that has failed, of another file, or of a part of an overlay."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))

    assert check.main([]) == 2
    assert said in capsys.readouterr().err


def test_a_blends_file_is_sent_to_its_own_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A preset, by its file."""
    path = ROOT / "serve" / "blended" / "presets" / "demo.yaml"

    assert check.main([str(path)]) == 2
    assert "check a blend's file with 'blended check'" in capsys.readouterr().err


def test_a_rayservice_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """The rendered one of the demo, with what lies beside it."""
    folder = ROOT / "k8s" / "demo"

    assert check.main([str(folder / "rayservice.yaml"), str(folder / "budgets.yaml")]) == 0
    assert "no mistakes" in capsys.readouterr().out
