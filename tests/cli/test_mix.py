"""`blended learn mix`, from a journal to a file's weights; and the report of its experiment."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from blended.cli import experiment, learn
from blended.config import loading
from blended.errors import ConfigError
from blended.experiments.assignment import arm_of
from blended.journal.records import ExperimentRecord, FeedbackRecord, Record
from blended.journal.store import Store
from blended.router.blend import definitions
from blended.router.selection import draw, normalise
from tests.journal.samples import response

DAY_S = 86_400.0
DAYS = 6
UNIFORM: Mapping[str, float] = {"a": 1, "b": 1, "c": 1}
TILTED: Mapping[str, float] = {"a": 0.1, "b": 0.1, "c": 0.8}
# How often a thumb is up.
GOOD = {"a": 0.2, "b": 0.5, "c": 0.9}
BAD = {"a": 0.9, "b": 0.5, "c": 0.2}

TEXT = """\
# Friends of ours.
name: friends
components:
  - {{id: a, kind: simulated}}
  - {{id: b, kind: simulated}}  # the old one
  - {{id: c, kind: simulated}}
selection:
  weights: {weights}  # the schedule moves them
experiments:
  - name: mix
    start: {start}
    end: 2999-01-01
    control: even
    arms:
      - {{id: even, share: 1, weights: {{a: 1, b: 1, c: 1}}}}
      - {{id: moving, share: 3, adaptive: true}}
"""


@dataclass(frozen=True)
class Rig:
    """A blend's file and a journal of `DAYS` days until now."""

    path: Path
    url: str

    def mix(self, *options: str) -> Result:
        arguments = ["mix", str(self.path), "--reward", "thumbs", "--journal", self.url, *options]
        runner = CliRunner(env={"COLUMNS": "120"})
        return runner.invoke(learn.app, arguments, catch_exceptions=False)

    def document(self, *options: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.mix("--json", *options).stdout)
        return found


def rig(folder: Path, by_turn: Sequence[Mapping[str, float]], values: Mapping[str, float]) -> Rig:
    """The moving arm drew by these weights one after another, each for as long; the file has the
    last of them. Seeded."""
    now, rng = time.time(), np.random.default_rng(1)
    start = datetime.fromtimestamp(now - (DAYS + 0.01) * DAY_S, UTC)
    weights = "{" + ", ".join(f"{n}: {w}" for n, w in by_turn[-1].items()) + "}"
    path = folder / "blend.yaml"
    path.write_text(TEXT.format(weights=weights, start=start.isoformat(timespec="seconds")))
    blend = loading.load(str(path))
    [of] = blend.experiments
    [definition] = definitions(blend)
    records: list[Record] = [ExperimentRecord("mix", definition.version, now, definition.to_json())]
    for number in range(400 * DAYS):
        user, ago = f"{number % 400:032x}", DAYS - (number + 0.5) / 400
        arm = arm_of(of, user).id
        distribution = normalise(
            by_turn[number * len(by_turn) // (400 * DAYS)] if arm == "moving" else UNIFORM
        )
        found = draw(distribution, float(rng.random()))
        one = response(
            number,
            user=user,
            conversation=f"{number:032x}",
            started_at=round(now - ago * DAY_S, 3),
            experiment="mix",
            arm=arm,
            distribution=distribution.version,
            probabilities=distribution.by_component,
            uniform=found.uniform,
            drawn=found.component,
            component=found.component,
            propensity=found.propensity,
            left=list("abc"),
            needs=[],
            ahead=None,
        )
        thumb = 1.0 if rng.random() < values[found.component] else -1.0
        about = one.response_id, one.started_at
        records += [one, FeedbackRecord(*about, "thumb", one.started_at + 1, value=thumb)]
    url = f"sqlite:///{folder / 'journal.db'}"
    store = Store(url)
    store.migrate()
    store.add(records)
    store.close()
    return Rig(path, url)


@pytest.fixture
def even(tmp_path: Path) -> Rig:
    """Uniform all the time, and c is best."""
    return rig(tmp_path, [UNIFORM] * DAYS, GOOD)


def test_a_step_is_proposed_and_nothing_is_changed(even: Rig) -> None:
    """From the worst to the best, with its reason and what it stands on."""
    before, result = even.path.read_text(), even.mix()

    assert result.exit_code == 0
    for expected in (
        "MOVE: 'c' is better than 'a' by",
        "GPU s per response",
        "a over c",
        "adaptive over holdback",
        "count half after each 7 days",
        "Nothing was changed; --write",
    ):
        assert expected in result.output, expected
    document = even.document()
    assert document["next"] == {"a": 0.2833, "b": 0.3333, "c": 0.3834}
    assert document["written"] is False
    assert document["components"]["c"]["value"]["value"] == pytest.approx(0.8, abs=0.1)
    assert document["arms"]["difference"]["low"] < 0 < document["arms"]["difference"]["high"]
    assert document["engine_s"]["now"] == pytest.approx(document["engine_s"]["next"], rel=0.01)
    assert document["faults"] == []
    assert even.path.read_text() == before


def test_a_written_step_waits_until_it_is_applied(even: Rig) -> None:
    """Only the weights change, the exit status tells a schedule, and the next try stays."""
    before = even.path.read_text()
    result = even.mix("--write")

    assert result.exit_code == 3
    assert "blended apply" in result.output
    moved = "{a: 0.2833, b: 0.3333, c: 0.3834}"
    assert even.path.read_text() == before.replace("{a: 1, b: 1, c: 1}  # the", f"{moved}  # the")
    again = even.mix("--write")
    assert again.exit_code == 0
    assert "STAY: The adaptive arm has not drawn by the file's weights yet" in again.output


def test_a_file_that_changes_meanwhile_is_not_overwritten(
    even: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's edit stays."""
    before = even.path.read_text()
    monkeypatch.setattr(loading, "read", lambda _: before)
    even.path.write_text(f"{before}# another one\n")

    with pytest.raises(ConfigError, match="has changed meanwhile"):
        even.mix("--write")
    assert even.path.read_text() == f"{before}# another one\n"


def test_a_mix_that_moved_today_stays(tmp_path: Path) -> None:
    """The journal knows when it did; a day later it may move on."""
    moved, found = {"a": 0.2833, "b": 0.3333, "c": 0.3834}, list[dict[str, Any]]()
    for halves in (1, 2):
        folder = tmp_path / str(halves)
        folder.mkdir()
        by_turn = [UNIFORM] * (2 * DAYS - halves) + [moved] * halves
        found.append(rig(folder, by_turn, GOOD).document())

    assert [document["kind"] for document in found] == ["stay", "step"]
    assert "It moved less than a day ago" in found[0]["reason"]
    assert found[1]["next"]["a"] == pytest.approx(0.2333)


def test_a_mix_that_is_worse_than_uniform_goes_back(tmp_path: Path) -> None:
    """At once, to weights that are exactly uniform."""
    found = rig(tmp_path, [TILTED] * DAYS, BAD)
    result = found.mix("--write")

    assert result.exit_code == 3
    assert "BACK TO UNIFORM: The mix is worse than the uniform one by" in result.output
    assert loading.load(str(found.path)).selection.weights == UNIFORM


def test_what_was_before_a_return_is_no_evidence(tmp_path: Path) -> None:
    """The records that sent the mix back cannot move it again."""
    found = rig(tmp_path, [UNIFORM, *[TILTED] * (DAYS - 3), UNIFORM, UNIFORM], BAD).document()

    assert found["since"] == found["evidence_since"]
    before = datetime.now(UTC).timestamp() - 2 * DAY_S
    assert datetime.fromisoformat(found["since"]).timestamp() == pytest.approx(before, abs=600)


def test_a_floor_a_step_a_rate_and_a_time_are_kept(even: Rig) -> None:
    """Options of the command; without a half-life all responses count alike."""
    small = even.document("--max-step", "0.02")
    short = even.document("--since", "3d", "--half-life", "inf")

    assert small["next"]["c"] == pytest.approx(1 / 3 + 0.02, abs=2e-4)
    assert short["half_life_days"] is None
    assert short["since"] > small["since"]
    assert "half after" not in " ".join(short["notes"])
    with pytest.raises(ConfigError, match=r"The floor is 0\.4"):
        even.mix("--floor", "0.4")


def test_a_component_without_capacity_for_more_gets_no_more(even: Rig) -> None:
    """The next best one does; without a rate nobody knows."""
    text = even.path.read_text()
    given = "{id: c, kind: simulated, replicas: {max: 2, capacity: [1, 2]}}"
    even.path.write_text(text.replace("{id: c, kind: simulated}", given))

    assert even.document()["next"]["c"] > 0.38
    found = even.document("--rate", "6.1")
    assert found["components"]["c"]["ceiling"] == pytest.approx(2 / 6.1)
    assert found["next"] == {"a": 0.2833, "b": 0.3834, "c": 0.3333}


def test_a_blend_without_such_an_experiment_is_refused(even: Rig) -> None:
    """With what to write; so is one that is not the one of the journal."""
    text = even.path.read_text()
    even.path.write_text(text.partition("experiments:")[0])
    with pytest.raises(ConfigError, match="No experiment with an adaptive arm runs"):
        even.mix()
    even.path.write_text(text.replace("share: 3", "share: 4"))
    with pytest.raises(ConfigError, match="is not the one that the journal knows"):
        even.mix()
    even.path.write_text(text.replace("name: mix", "name: other"))
    with pytest.raises(ConfigError, match="knows no experiment 'other'"):
        even.mix()


def test_what_cannot_be_written_or_valued_is_refused(even: Rig) -> None:
    """A preset is no file of the user's, and rewards have names."""
    with pytest.raises(ConfigError, match="'demo' is no file that could be changed"):
        CliRunner().invoke(learn.app, ["mix", "demo", "--write"], catch_exceptions=False)
    wrong = CliRunner(env={"COLUMNS": "300"}).invoke(
        learn.app, ["mix", str(even.path), "--reward", "joy"]
    )
    assert wrong.exit_code == 2
    assert "there are kept, continued, two_more, thumbs" in wrong.output


def test_the_experiments_report_tells_every_move(tmp_path: Path) -> None:
    """On the terminal, in JSON and on the page; the effect is that of the procedure."""
    found = rig(tmp_path, [UNIFORM] * 3 + [TILTED] * 3, GOOD)
    page = tmp_path / "report.html"
    command = ["report", "mix", "--journal", found.url]
    runner = CliRunner(env={"COLUMNS": "120"})
    shown = runner.invoke(experiment.app, [*command, "--html", str(page)], catch_exceptions=False)
    document = json.loads(
        runner.invoke(experiment.app, [*command, "--json"], catch_exceptions=False).stdout
    )

    arms = document["arms"]
    days = arms["moving"]["mix_by_day"]
    assert (arms["even"]["adaptive"], arms["even"]["mix_by_day"]) == (False, [])
    assert days[0]["shares"] == pytest.approx(dict.fromkeys("abc", 1 / 3))
    assert days[-1]["shares"] == pytest.approx(TILTED)
    assert arms["moving"]["components"]["c"]["probability"] == pytest.approx(0.57, abs=0.1)
    assert any("'moving' is adaptive" in note for note in document["notes"])
    assert "moving is adaptive: its shares on the first day" in shown.output
    assert "80.0%" in shown.output
    assert "weights of the moment" in page.read_text()


def test_the_components_of_an_adaptive_arm_are_compared(tmp_path: Path) -> None:
    """By the probabilities of each draw, however they moved."""
    found = rig(tmp_path, [UNIFORM] * 3 + [TILTED] * 3, GOOD)
    command = ["components", "mix", "--journal", found.url, "--json"]
    document = json.loads(
        CliRunner().invoke(experiment.app, command, catch_exceptions=False).stdout
    )

    moving = document["arms"]["moving"]
    assert set(moving["measures"]["thumbs"]) == {"a", "b", "c"}
    assert moving["faults"] == []
    more = moving["measures"]["thumbs"]["c"]["difference"]
    assert more["low"] > 0.5
    assert moving["probabilities"]["c"] == pytest.approx(0.55, abs=0.1)


def test_a_preview_says_that_an_arm_moves(even: Rig) -> None:
    """Beside the shares of now."""
    runner = CliRunner(env={"COLUMNS": "200"})
    shown = runner.invoke(experiment.app, ["preview", str(even.path)], catch_exceptions=False)

    assert "c 33.3% (adaptive: as the blend's weights move)" in shown.output
