"""The alert rules as they are shipped, over hours of made-up samples that promtool runs through."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml

from blended.router.metrics import DRAWS, DROPPED, SHARE
from cluster.monitoring import queries
from cluster.monitoring.files import FOLDER
from tests.debian import program

# A sample every 15 s: 4 a minute. `a+bxn` is a and n more samples, each b above the one before it.
HOUR = 240


def share(component: str) -> str:
    return f'{queries.name(SHARE)}{{component="{component}", replica="r"}}'


def draws(component: str, drawn: str, arm: str = "none") -> str:
    labels = f'component="{component}", drawn="{drawn}", arm="{arm}", replica="r"'
    return f"{queries.name(DRAWS)}{{{labels}}}"


EVEN = {share(c): f"0.5x{HOUR}" for c in "ab"}


def check(
    folder: Path, series: Mapping[str, str], fires: Mapping[str, list[dict[str, str]]]
) -> None:
    """Have promtool compare what fires at some times with what should: labels of each alert."""
    asked = 'sum by (alertname, component, what) (ALERTS{alertstate="firing"})'
    expected = [
        {
            "expr": asked,
            "eval_time": time,
            "exp_samples": [{"labels": _labels(labels), "value": 1} for labels in alerts],
        }
        for time, alerts in fires.items()
    ]
    given = [{"series": name, "values": values} for name, values in series.items()]
    test = {
        "rule_files": [str(FOLDER / "rules.yaml")],
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": given, "promql_expr_test": expected}],
    }
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump(test))
    command = [program("promtool", "prometheus"), "test", "rules", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def test_even_shares_are_quiet(tmp_path: Path) -> None:
    """Two components that answer equally often, as configured."""
    counts = {draws(c, c): f"0+10x{HOUR}" for c in "ab"}

    check(tmp_path, EVEN | counts, {"20m": [], "50m": []})


def test_a_component_that_others_stand_in_for_is_told_of(tmp_path: Path) -> None:
    """Whoever answers too little and whoever answers too much, once it has lasted."""
    counts = {draws("a", c): f"0+10x{HOUR}" for c in "ab"}

    off = [{"alertname": "BlendedShareOff", "component": c} for c in "ab"]
    check(tmp_path, EVEN | counts, {"10m": [], "50m": off})


def test_arms_of_experiments_are_quiet(tmp_path: Path) -> None:
    """All of an arm's users get one component, as they should; the others' shares are right."""
    counts = {draws(c, c): f"0+10x{HOUR}" for c in "ab"}
    arm = {draws("a", "a", "only-a"): f"0+90x{HOUR}"}

    check(tmp_path, EVEN | counts | arm, {"20m": [], "50m": []})


def test_few_responses_prove_nothing(tmp_path: Path) -> None:
    """Fewer than a hundred in the window, however they fell."""
    counts = {draws("a", c): f"0+0.5x{HOUR}" for c in "ab"}

    check(tmp_path, EVEN | counts, {"50m": []})


def test_a_change_of_weights_is_quiet(tmp_path: Path) -> None:
    """From 50 to 90 % while requests become ten times as many: nothing fires at any time."""
    half = HOUR // 2
    series = {
        share("a"): f"0.5x{half} 0.9x{HOUR}",
        share("b"): f"0.5x{half} 0.1x{HOUR}",
        draws("a", "a"): f"0+10x{half} {10 * half}+180x{HOUR}",
        draws("b", "b"): f"0+10x{half} {10 * half}+20x{HOUR}",
    }

    check(tmp_path, series, {f"{minute}m": [] for minute in range(31, 56)})


def test_late_responses_of_a_component_without_weight_are_quiet(tmp_path: Path) -> None:
    """All of the weight is elsewhere, so that there is no variance; three long ones still end."""
    series = {
        share("a"): f"1x{HOUR}",
        share("b"): f"0x{HOUR}",
        draws("a", "a"): f"0+3.3x{HOUR}",
        draws("b", "b"): "0x92 1x12 2x12 3x120",
    }

    check(tmp_path, series, {"20m": [], "40m": [], "50m": []})


def test_the_first_loss_is_told_of(tmp_path: Path) -> None:
    """A counter that appears with a loss and does not move again; five minutes later it is over."""
    loss = {f'{queries.name(DROPPED)}{{what="content", replica="r"}}': f"_x40 3x{HOUR}"}

    lost = [{"alertname": "BlendedRecordsDropped", "what": "content"}]
    check(tmp_path, EVEN | loss, {"9m": [], "13m": lost, "30m": []})


def test_silence_is_told_of(tmp_path: Path) -> None:
    """Without any of the routers' metrics that is all that can be told."""
    check(tmp_path, {"up": f"1x{HOUR}"}, {"50m": [{"alertname": "BlendedSilent"}]})
