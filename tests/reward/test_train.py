"""The recipe of the large reward model: from a journal to a folder, on a tiny base."""

import json
import random
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from blended.journal.store import Store
from blended.reward import train
from blended.reward.classifier import Classifier
from blended.reward.demo_journal import main as simulate
from blended.reward.examples import Pair
from blended.reward.reading import read
from blended.reward.train import Recipe, batches, fit
from blended.reward.transcript import TOKENS

LATER = 4e9
QUICK = Recipe(epochs=12, batch=8, peak_lr=2e-3)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What 150 simulated users of the demo had drawn again."""
    url = f"sqlite:///{tmp_path_factory.mktemp('train') / 'journal.db'}"
    simulate(["--journal", url, "--users", "150"])
    return url


@pytest.fixture(scope="module")
def pairs(journal: str) -> tuple[Pair, ...]:
    with closing(Store(journal)) as store:
        return read(store, 0.0, LATER).pairs


def test_pairs_are_learnt(pairs: tuple[Pair, ...]) -> None:
    """After some passes over sixteen pairs the kept answers of almost all have higher scores."""
    torch.manual_seed(0)
    model = Classifier.load("demo:ember", "cpu")

    fit(model, pairs[:16], QUICK)

    rejected, kept = model.scores(pairs[:16], 8).T
    assert (kept > rejected).mean() > 0.8


def test_what_is_written_scores_as_what_was_trained(
    pairs: tuple[Pair, ...], tmp_path: Path
) -> None:
    """Rounded before it is judged; in the type of its base, without a chat template."""
    torch.manual_seed(0)
    model = Classifier.load("demo:ember", "cpu")
    model.round()
    scores = model.scores(pairs[:8], 4)
    model.save(tmp_path)

    again = Classifier.load(str(tmp_path), "cpu")

    np.testing.assert_allclose(again.scores(pairs[:8], 3), scores, atol=1e-5)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["LlamaForSequenceClassification"]
    assert config["dtype"] == "bfloat16"
    assert not (tmp_path / "chat_template.jinja").exists()


def test_the_last_tokens_of_a_long_text_are_read() -> None:
    """What comes before them changes nothing."""
    torch.manual_seed(0)
    model = Classifier.load("demo:ember", "cpu")
    end = "\nAssistant: " + "Hello! " * TOKENS

    one, other = model.score(["User: Hi!" + end, "User: Who is there? I am Robin." + end]).tolist()

    assert one == pytest.approx(other, abs=1e-5)


def test_every_pair_is_in_one_batch(pairs: tuple[Pair, ...]) -> None:
    """In the same order for equal seeds, and in another one for others."""
    one, same, other = (list(batches(pairs, 8, random.Random(seed))) for seed in (1, 1, 2))

    assert one == same != other
    assert sorted(p.at for batch in one for p in batch) == sorted(p.at for p in pairs)
    assert max(map(len, one)) == 8


def test_a_model_that_a_gate_refuses_is_not_written(
    journal: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Thirty held-out users are too few; the last line is JSON, and the status is 1."""
    out = tmp_path / "reward"
    options = ["--journal", journal, "--base", "demo:ember", "--out", str(out), "--batch", "64"]
    monkeypatch.setattr("sys.argv", ["train", *options])

    with pytest.raises(SystemExit, match="1"):
        train.main()

    *_, last = capsys.readouterr().out.strip().splitlines()
    assert json.loads(last)["written"] is None
    assert not out.exists()
