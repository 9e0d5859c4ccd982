"""The dashboard and the alert rules as they are kept in k8s/components/monitoring."""

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from blended.router.metrics import METRICS, TTFT
from cluster.monitoring import queries
from cluster.monitoring.__main__ import main
from cluster.monitoring.alerts import Levels
from cluster.monitoring.files import FOLDER, rules_yaml
from tests.debian import program

DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
RULES = yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"][0]["rules"]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[at] < other[at] + other[size] and other[at] < one[at] + one[size]
        for at, size in (("x", "w"), ("y", "h"))
    )


def test_the_files_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    """What the command writes is what is there."""
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check fails with a sentence that names the files and the remedy, and writes nothing."""
    main(["--out", str(tmp_path)])
    (tmp_path / "rules.yaml").write_text("groups: []\n")

    assert main(["--out", str(tmp_path), "--check"]) == 1
    assert "rules.yaml; run `python -m cluster.monitoring`" in capsys.readouterr().err
    assert (tmp_path / "rules.yaml").read_text() == "groups: []\n"


def test_prometheus_takes_the_rules() -> None:
    """promtool, which parses every expression and template, finds nothing wrong."""
    command = [
        program("promtool", "prometheus"),
        "check",
        "rules",
        str(FOLDER / "rules.yaml"),
    ]

    checked = subprocess.run(command, capture_output=True, text=True)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout


def test_panels_have_their_own_ids_and_places() -> None:
    """No two panels share an id or overlap, and all are within Grafana's 24 columns."""
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]

    assert len(set(ids)) == len(ids)
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert not any(overlap(one, other) for one, other in combinations(places, 2))


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_panel_explains_itself_and_asks_something(panel: dict[str, Any]) -> None:
    """It has a description, a unit, the chosen data source, and queries with names of their own."""
    targets = panel["targets"]

    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert all(target["expr"] and target["legendFormat"] for target in targets)
    assert len({target["refId"] for target in targets}) == len(targets) > 0


def test_variables_are_declared() -> None:
    """The data source and the window of rates are all that a reader has to choose."""
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)", json.dumps(DASHBOARD)))

    assert declared == used == {"datasource", "window"}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: str(metric.name))
def test_every_metric_is_shown(metric: Any) -> None:
    """Whatever is measured can be seen."""
    shown = re.compile(rf"{queries.name(metric)}(?:_bucket)?\b")

    assert any(shown.search(expression) for expression in EXPRESSIONS)


def test_no_other_metric_of_ours_is_asked_for() -> None:
    """Every name in dashboard and rules is one of the router's metrics, histograms by buckets."""
    known = {
        f"{queries.name(metric)}{'_bucket' if metric.kind == 'histogram' else ''}"
        for metric in METRICS
    }
    asked = " ".join([*EXPRESSIONS, *(rule["expr"] for rule in RULES)])

    assert set(re.findall(r"ray_blended_\w+", asked)) <= known


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """It lasts, has a severity, and all of its words; panels that it names are there."""
    words = rule["annotations"]
    titles = {panel["title"] for panel in PANELS}

    assert rule["for"]
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert all(words[part] for part in ("summary", "description", "runbook"))
    assert set(re.findall(r"'([A-Z][^']+)'", words["runbook"])) <= titles


def test_levels_and_windows_are_parameters() -> None:
    """Other levels give the same rules with other numbers."""
    text = rules_yaml(Levels(window="10s", share_window="20s", ttft_s=0.7))
    rules = yaml.safe_load(text)["groups"][0]["rules"]

    assert [rule["alert"] for rule in rules] == [rule["alert"] for rule in RULES]
    assert rules[1]["expr"].endswith("> 0.7")
    assert {window for rule in rules for window in re.findall(r"\[(\w+)\]", rule["expr"])} == {
        "10s",
        "20s",
    }


def test_the_level_of_ttft_is_a_bound_of_its_buckets() -> None:
    """Between two bounds Prometheus guesses; at one, it knows which responses were later."""
    assert Levels().ttft_s in TTFT.bounds
