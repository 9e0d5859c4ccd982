"""Simulated users who come back because of the quality of what they read: a planted effect.

A user comes on day 0 and reads some responses. On each later day they come back with the
probability 1 / (1 + exp(-(A + B q))), q being the mean quality of all that they have read. Nobody
tells them, or this program, whose arm they are in.
"""

import asyncio
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import aiohttp
import numpy as np

from blended.components.simulated_quality import quality_of
from loadtests.harness.timed_client import MeasurementFailed

A, B = -1.0, 0.8
RESPONSES = 3
_AT_ONCE = 32


@dataclass(frozen=True)
class Cast:
    """How many users come on how many days of `day_s` seconds; `seed` decides whether they do."""

    users: int
    days: int
    day_s: float
    seed: int


@dataclass
class _User:
    name: str
    rng: random.Random
    read: list[float] = field(default_factory=list)

    def comes_back(self) -> bool:
        return self.rng.random() < 1 / (1 + math.exp(-(A + B * fmean(self.read))))


async def live(target: Mapping[str, Any], model: str, cast: Cast, began: float) -> int:
    """All users live all days, the first of which begins at a Unix time; returns the responses.

    Raises:
        MeasurementFailed: a response failed.
    """
    users = [_User(f"user-{i}", random.Random(f"{cast.seed} {i}")) for i in range(cast.users)]
    places = asyncio.Semaphore(_AT_ONCE)
    async with aiohttp.ClientSession(headers=target["headers"]) as http:

        async def visits(user: _User) -> None:
            for day in range(cast.days):
                if day and not user.comes_back():
                    continue
                # Nobody is there around midnight.
                due = began + (day + 0.1 + 0.6 * user.rng.random()) * cast.day_s
                await asyncio.sleep(max(0.0, due - time.time()))
                async with places:
                    await _read(http, target["url"], model, user, day)

        async with asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(visits(user))
    return sum(len(user.read) for user in users)


async def _read(http: aiohttp.ClientSession, url: str, model: str, user: _User, day: int) -> None:
    messages = list[dict[str, str]]()
    headers = {"X-User-ID": user.name, "X-Conversation-ID": f"{user.name}-{day}"}
    for turn in range(RESPONSES):
        messages.append({"role": "user", "content": f"Question {turn}?"})
        body = {"model": model, "messages": messages}
        async with http.post(url, json=body, headers=headers) as response:
            if response.status != 200:
                raise MeasurementFailed(f"{response.status}: {(await response.text())[:200]}")
            text = (await response.json())["choices"][0]["message"]["content"]
        messages.append({"role": "assistant", "content": text})
        if (found := quality_of(text)) is not None:
            user.read.append(found)


def true_lift(count: int, correlation: float, draws: int = 400_000, seed: int = 1) -> float:
    """The lift of the retention on day 1 by so many candidates: ratio to one, minus 1.

    By simulation, because a logistic function of a mean has no simple mean; its error is 0.002.
    """

    def retention(k: int) -> float:
        rng = np.random.default_rng(seed)
        quality = rng.standard_normal((draws, RESPONSES, k))
        noise = math.sqrt(1 - correlation**2) * rng.standard_normal(quality.shape)
        chosen = (correlation * quality + noise).argmax(axis=2)
        read = np.take_along_axis(quality, chosen[..., None], axis=2).mean(axis=(1, 2))
        return float((1 / (1 + np.exp(-(A + B * read)))).mean())

    return retention(count) / retention(1) - 1
