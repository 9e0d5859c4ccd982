"""What one replica of the reward model can do: python -m cluster.capacity.profile reward

Starts the blend's reward model alone, and sends it requests with as many texts as a response has
candidates, from some clients at once, each its next one when its scores are there.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import aiohttp
from pydantic import Field

from blended.config import BlendConfig, Frozen, VllmReward
from blended.config.loading import decoded, load, parse_as
from blended.errors import ConfigError
from blended.internal import REWARD, REWARD_PREFIX
from blended.reward.transcript import transcript
from blended.router.scoring import NoScores, Reward, scores
from loadtests.harness.percentiles import percentile
from loadtests.harness.provenance import made_by
from loadtests.harness.start import up
from loadtests.harness.targets import CHAT, Place
from loadtests.harness.timed_client import WORDS, MeasurementFailed

_PATIENCE_S = 30.0
_TURNS = 4


class RewardProfile(Frozen):
    """One replica of the reward model: seconds of it that a response of `best_of` candidates takes.

    `p99_s` is how long the slowest of 100 requests took with `clients` at once.
    """

    component: str
    made_by: Mapping[str, str]
    serves: Mapping[str, Any]
    best_of: Annotated[int, Field(ge=1)]
    clients: Annotated[int, Field(ge=1)]
    seconds: Annotated[float, Field(gt=0)]
    p99_s: Annotated[float, Field(gt=0)]


def served(blend: BlendConfig) -> dict[str, Any]:
    """The settings of a blend's reward model that decide the speed of one replica.

    Raises:
        ConfigError: the blend has none.
    """
    if (reward := blend.reward) is None:
        raise ConfigError("The blend has no reward model; add 'reward' to its file.")
    if isinstance(reward, VllmReward):
        apart = {"replica_group", "cpus"}
        found = reward.engine.model_dump(mode="json", exclude=apart, exclude_none=True)
    else:
        apart = {"timeout_ms", "tokens", "replicas", "cpus", "replica_group", "correlation"}
        found = reward.model_dump(mode="json", exclude=apart)
    return {"kind": reward.kind, "tokens": reward.tokens} | found


def load_profile(blend: BlendConfig, folder: Path, name: str) -> RewardProfile:
    """The profile of a blend's reward model, from `reward.json` in a folder.

    Raises:
        ConfigError: there is none, it is wrong, or it is one of another model.
    """
    path = folder / f"{REWARD}.json"
    command = f"python -m cluster.capacity.profile {REWARD} --blend {name} --out {path}"
    try:
        found = parse_as(RewardProfile, decoded(path.read_bytes(), str(path)), str(path))
    except OSError as exc:
        raise ConfigError(
            f"There is no profile of the reward model ({path}); make one: {command}"
        ) from exc
    if dict(found.serves) != served(blend):
        raise ConfigError(
            f"The profile '{path}' is of another reward model than the blend's; make a new one: "
            f"{command}"
        )
    return found


def measure(job: argparse.Namespace) -> RewardProfile:
    """Start the reward model, and ask it for scores for some seconds.

    Raises:
        ConfigError: the blend has none.
        Unavailable: it does not start.
        MeasurementFailed: a request got no scores.
    """
    blend = load(job.blend)
    serves, clients = served(blend), max(job.clients)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="profile-")))
        target = up(alone(blend, clients), Place(folder, {}), stack)
        key = (folder / "state-profiled" / "internal_key").read_text().strip()
        assert blend.reward is not None, "what it serves is known"
        reward = Reward(
            base_url=f"{target['url'].removesuffix(CHAT)}{REWARD_PREFIX}",
            model=REWARD,
            key=key,
            timeout_s=_PATIENCE_S,
            tokens=blend.reward.tokens,
            version=REWARD,
        )
        times, took_s = asyncio.run(_asked(reward, job, clients))
    return RewardProfile(
        component=REWARD,
        made_by=made_by("cluster.capacity.profile"),
        serves=serves,
        best_of=job.best_of,
        clients=clients,
        seconds=took_s / len(times),
        p99_s=percentile(sorted(times), 0.99),
    )


def alone(blend: BlendConfig, clients: int) -> dict[str, Any]:
    """A blend as data with the reward model in one replica, which refuses no request."""
    assert blend.reward is not None, "what it serves is known"
    replicas = {"target_ongoing_requests": clients, "max_ongoing_requests": clients}
    data = blend.reward.model_dump(mode="json", exclude_none=True)
    return {
        "name": "profiled",
        "components": [{"id": "nobody", "kind": "simulated"}],
        "reward": data | {"replicas": replicas | {"max_queued_requests": clients}},
        "router": {"cpus": blend.router.cpus, "replicas": {"min": 1, "max": 1}},
        "journal": {"enabled": False},
    }


async def _asked(
    reward: Reward, job: argparse.Namespace, clients: int
) -> tuple[list[float], float]:
    """The seconds of each request, and those in which all of them were answered."""
    times = list[float]()
    async with aiohttp.ClientSession() as http:
        await _once(http, reward, job)  # an engine's first request takes longer
        began = time.perf_counter()

        async def client() -> None:
            while time.perf_counter() < began + job.seconds or len(times) < job.responses:
                asked = time.perf_counter()
                await _once(http, reward, job)
                times.append(time.perf_counter() - asked)

        await asyncio.gather(*(client() for _ in range(clients)))
        return times, time.perf_counter() - began


async def _once(http: aiohttp.ClientSession, reward: Reward, job: argparse.Namespace) -> None:
    try:
        await scores(http, reward, texts(job.best_of, job.words, job.response), "profile", {})
    except NoScores as exc:
        raise MeasurementFailed(f"the reward model gave no scores: {exc.reason}") from exc


def texts(count: int, words: Sequence[int], response: int) -> list[str]:
    """The candidates of one response in a conversation that nobody had before."""

    def said(length: int) -> str:
        return " ".join([str(random.getrandbits(48)), *random.choices(WORDS, k=length)])

    history = [
        {"role": "assistant" if turn % 2 else "user", "content": said(max(words) // _TURNS)}
        for turn in range(2 * _TURNS - 1)
    ]
    return [transcript(history, said(response)) for _ in range(count)]
