"""`blended learn fit`, `evaluate` and `promote`, from a journal to a blend's file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from blended.cli import learn
from blended.config import loading
from blended.errors import ConfigError
from blended.journal.records import FeedbackRecord
from blended.journal.store import Store
from blended.learning.features import Facts
from tests.journal.samples import response
from tests.learning.policies import kept, policy

KINDS = ("sun", "rain", "snow")
NAMES = ("a", "b", "c")
FILE = """\
name: friends  # ours
components:
  # three of them
  - {id: a, kind: simulated}
  - {id: b, kind: simulated}
  - {id: c, kind: simulated}
selection:
  look_ahead: true   # reads ahead
experiments:
  - name: learned
    start: 2027-01-01
    end: 2027-02-01
    control: uniform
    arms:
      - id: uniform
      - id: learned   # by the message
"""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """900 users whose message decides which component they keep."""
    url = f"sqlite:///{tmp_path_factory.mktemp('policy') / 'journal.db'}"
    store, rng, number = Store(url), np.random.default_rng(1), 0
    store.migrate()
    records = list[Any]()
    for user in range(900):
        for _ in range(3):
            kind, drawn = int(rng.integers(3)), int(rng.integers(3))
            one = response(
                number,
                user=f"{user:032x}",
                conversation=f"{number:032x}",
                probabilities=dict.fromkeys(NAMES, 1 / 3),
                drawn=NAMES[drawn],
                component=NAMES[drawn],
                facts=Facts(1, 1).to_json(),
                content={"messages": [{"role": "user", "content": KINDS[kind]}]},
            )
            records.append(one)
            if rng.random() < (0.2 if kind == drawn else 0.7):
                at = one.started_at
                records.append(FeedbackRecord(one.response_id, at, "edit", at + 1, value=0.9))
            number += 1
    store.add(records)
    store.close()
    return url


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("BLENDED_STATE_DIR", str(tmp_path))
    return tmp_path


def run(*options: str | Path) -> Result:
    runner = CliRunner(env={"COLUMNS": "120"})
    return runner.invoke(learn.app, [*map(str, options)], catch_exceptions=False)


def fitted(journal: str, *options: str) -> str:
    done = run("fit", "friends-1", "--reward", "kept", "--journal", journal, *options)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()[0]


def test_a_policy_goes_from_the_journal_into_the_file(journal: str, state: Path) -> None:
    """Fitted, judged and promoted by its version; the file keeps its comments."""
    reference = fitted(journal)
    judged = run("evaluate", reference, "--journal", journal)
    document = json.loads(run("evaluate", reference, "--journal", journal, "--json").stdout)
    blend = state / "blend.yaml"
    blend.write_text(FILE)
    promoted = run("promote", reference, blend, "--arm", "learned/learned")

    assert (judged.exit_code, promoted.exit_code) == (0, 0)
    assert f"{reference}: kept of" in judged.stdout
    assert document["policy"] == reference
    assert document["refusals"] == []
    assert document["gain"]["low"] > 0
    assert document["values"]["policy"]["doubly_robust"]["value"] == pytest.approx(0.63, abs=0.1)
    line = "      - id: learned   # by the message\n"
    assert blend.read_text() == FILE.replace(line, f"{line}        policy: {reference}\n")
    assert run("promote", reference, blend).exit_code == 0
    config = loading.load(str(blend))
    assert config.selection.policy is not None
    assert config.selection.policy.reference == reference
    assert config.selection.policy.floor == 0.1
    assert "look_ahead: true   # reads ahead" in blend.read_text()


def test_a_policy_that_is_not_better_is_refused(journal: str, state: Path) -> None:
    """By its exit status, and in words."""
    made = kept(state, policy())
    done = run("evaluate", made.reference, "--journal", journal, "--folder", state / "policies")

    assert done.exit_code == 1
    assert "not shown to be worth more than the best mix" in done.stdout


def test_without_texts_the_words_are_left_out_and_it_is_said(state: Path) -> None:
    """A journal without `content`."""
    url = f"sqlite:///{state / 'bare.db'}"
    store = Store(url)
    store.migrate()
    store.add(
        [
            response(
                number,
                user=f"{number:032x}",
                probabilities=dict.fromkeys(NAMES, 1 / 3),
                drawn=NAMES[number % 3],
                facts=Facts(1, 5, NAMES[number % 2], 3.0, False).to_json(),
            )
            for number in range(900)
        ]
    )
    store.close()
    done = run("fit", "bare", "--reward", "kept", "--journal", url)

    assert done.exit_code == 0, done.output
    assert "keeps no texts" in done.stdout
    assert (state / "policies").is_dir()


def test_there_is_no_latest_policy(journal: str, state: Path) -> None:
    """A name alone is refused, with the versions that are there; so are impossible names."""
    made = kept(state, policy())
    for command in (["evaluate", "friends-1", "--journal", journal], ["promote", "friends-1", "f"]):
        with pytest.raises(ConfigError, match=f"has no version; there are: {made.reference}"):
            run(*command)
    with pytest.raises(ConfigError, match="no name of a policy"):
        run("fit", "Friends!", "--journal", journal)


def test_what_cannot_be_promoted_leaves_the_file_as_it_was(state: Path) -> None:
    """An arm that is not there, a component that is not known, seats, an odd form."""
    made, other = kept(state, policy()), kept(state, policy(("a", "b"), name="two"))
    blend = state / "blend.yaml"
    odd = FILE.replace("selection:\n  look_ahead: true   # reads ahead", "selection: {}")
    for text, reference, arm, said in (
        (FILE, made.reference, ["--arm", "learned/none"], "no arm 'learned/none'"),
        (FILE, other.reference, [], "does not know 'c'"),
        (FILE.replace("look_ahead: true", "per_conversation: 2"), made.reference, [], "seats"),
        (odd, made.reference, [], "only a person can edit"),
        ("name: x\n", made.reference, [], "components"),
    ):
        blend.write_text(text)
        with pytest.raises(ConfigError, match=said):
            run("promote", reference, blend, *arm)
        assert blend.read_text() == text


@pytest.mark.parametrize("arm", [None, "learned/learned"])
def test_a_policy_is_written_where_there_is_none_or_another(state: Path, arm: str | None) -> None:
    """What stands beside it stays."""
    made, later = kept(state, policy()), kept(state, policy(temperature=0.5))
    blend, options = state / "blend.yaml", ["--arm", arm] if arm else []
    blend.write_text(FILE.replace("selection:\n  look_ahead: true   # reads ahead\n", ""))
    for one in (made, later):
        assert run("promote", one.reference, blend, *options).exit_code == 0

    config = loading.load(str(blend))
    [experiment] = config.experiments
    given = experiment.arms[1].policy if arm else config.selection.policy
    assert given is not None
    assert given.reference == later.reference
