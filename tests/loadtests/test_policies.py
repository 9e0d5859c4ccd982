"""The study of policies, and users who are pleased by a policy from their own draws."""

import asyncio
import json
import math
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from blended.cli import experiment as experiment_cli
from blended.cli import learn as learn_cli
from blended.config import loading
from blended.journal.store import Store
from blended.journal.tables import responses
from blended.router.access.gate import access
from blended.router.blend import resolve
from loadtests.studies.policies.__main__ import DEPENDENT, INDEPENDENT, learned
from loadtests.studies.policies.messages import NAMES, World
from loadtests.studies.policies.people import Liking, talk
from loadtests.studies.policies.router_time import router_time
from loadtests.studies.population.drive import BlendApi
from tests.journal.databases import count
from tests.journal.journals import database, journal
from tests.support import CLIENT_KEY, ENVIRON, Rig, eventually, rig

DAY_S = 3
USERS, MESSAGES = 120, 5
LIKING = Liking({"games": "a", "meals": "b", "nights": "c"}, 0.95, 0.25)


def test_the_worlds_gains_are_those_that_are_stated() -> None:
    """4 points for the best policy over the uniform mix, and 1 for the best mix, by the floor."""
    best = np.full((3, 3), 0.1) + 0.7 * np.eye(3)
    assert (DEPENDENT.effects * best).sum(axis=1).mean() == pytest.approx(0.04)
    for world in (DEPENDENT, INDEPENDENT):
        assert (world.effects @ [0.8, 0.1, 0.1]).mean() == pytest.approx(0.01)
        assert np.abs(world.effects.sum(axis=1)).max() < 1e-12


def test_a_run_of_the_study_has_all_that_it_reports() -> None:
    """On few users; the figures of many are in loadtests/results/policies.json."""
    found = learned(World(dependence=0.2), 800, np.random.default_rng(1))

    assert found["best_gain"] == pytest.approx(0.14, abs=0.01)
    assert 0.3 < found["share_of_best"] <= 1
    assert found["on_policy"] == pytest.approx(found["doubly_robust"], abs=0.08)
    assert all(math.isfinite(value) for value in found.values())


def test_the_routers_time_is_that_of_whole_responses() -> None:
    """Every request is answered, with and without a policy."""
    found = router_time(1)

    assert set(found) == {"words_12", "words_128"}
    for of in found.values():
        assert min(of["weights_us"], of["recall_us"], of["policy_us"]) > 0


def blend_file(folder: Path) -> Path:
    """A blend whose arms draw alike, until one of them has a policy."""
    now = datetime.now(UTC)
    simulation = {"ttft_ms": 0, "itl_ms": 0, "tokens": 4}
    components = [{"id": name, "kind": "simulated", "simulation": simulation} for name in NAMES]
    experiment = {
        "name": "learned",
        "start": (now + timedelta(seconds=1)).isoformat(),
        "end": (now + timedelta(hours=1)).isoformat(),
        "control": "uniform",
        "arms": [{"id": "uniform"}, {"id": "learned"}],
        "rehearsal": {"day_s": DAY_S},
    }
    blend = {
        "name": "blend",
        "components": components,
        "selection": {"recall": True},
        "api": {"reveal_component": True},
        "experiments": [experiment],
    }
    file = folder / "blend.yaml"
    file.write_text(yaml.safe_dump(blend))
    return file


def run(app: Any, *options: str | Path, statuses: tuple[int, ...] = (0,)) -> str:
    done = CliRunner(env={"COLUMNS": "120"}).invoke(app, [*map(str, options)])
    assert done.exit_code in statuses, (done.output, done.exception)
    return done.stdout


async def talked(r: Rig, store: Store, users: list[str], seed: int) -> Any:
    """What users saw, once the journal has all of it and the day of the last response is over."""
    told = await talk(BlendApi(r.url, CLIENT_KEY, "blend"), LIKING, users, MESSAGES, seed)
    await eventually(lambda: count(store, responses) == len(r.records), 30)
    await asyncio.sleep(DAY_S + 0.1)
    return told


async def test_users_are_pleased_by_a_policy_from_their_own_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From uniform draws to a fitted, judged, promoted and applied policy, whose arm is better.

    A response is liked in 48 % of all cases under uniform draws, and in 81 % under the best policy
    with this floor.
    """
    monkeypatch.setenv("BLENDED_STATE_DIR", str(tmp_path))
    file, url = blend_file(tmp_path), database(tmp_path)
    since = time.time()
    with journal(tmp_path, keep_content=True) as keeping:
        before = loading.load(str(file))
        no_experiment = before.model_copy(update={"experiments": ()})
        async with rig(no_experiment, keeping) as r:
            store = Store(url)
            first = await talked(r, store, [f"first-{n}" for n in range(2 * USERS)], 1)
            options = ["--day-s", str(DAY_S), "--journal", url]
            fit = ["fit", "friends-1", "--reward", "kept", *options]
            reference = run(learn_cli.app, *fit).splitlines()[0]
            # So few users are held out that it may not be shown to be better.
            evaluate = ["evaluate", reference, *options, "--json"]
            judged = json.loads(run(learn_cli.app, *evaluate, statuses=(0, 1)))
            run(learn_cli.app, "promote", reference, file, "--arm", "learned/learned")

            config = loading.load(str(file))
            assert r.api.blend is not None
            where = r.api.blend.upstreams["a"].base_url.removesuffix("/components/a/v1")
            r.api.use(resolve(config, where, ENVIRON), access(config.api, ENVIRON), keeping)
            await talked(r, store, [f"second-{n}" for n in range(USERS)], 2)
            store.close()
            records = r.records
    report = json.loads(run(experiment_cli.app, "report", "learned", "--journal", url, "--json"))

    assert first.failed == 0
    assert judged["gain"]["value"] > 0
    in_arm = [record for record in records if record.arm == "learned"]
    assert {record.policy for record in in_arm} == {reference}
    assert all(min(record.probabilities.values()) >= 0.1 for record in in_arm)
    assert since < min(record.started_at for record in records)
    effect = report["effects"]["learned"]["regenerations"]
    assert effect["high"] < 0, effect
    assert any(reference in note for note in report["notes"])
