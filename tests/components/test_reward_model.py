"""A reward model without an engine: it answers as vLLM's /classify does."""

import math
import random
from statistics import correlation as correlation_of
from typing import Any

import httpx
import pytest

from blended.components.reward_model import RewardServer, described, simulated_scorer, tail
from blended.components.simulated_quality import planted, quality_of
from tests.support import INTERNAL_KEY


async def classify(server: RewardServer, key: str = INTERNAL_KEY, **body: Any) -> httpx.Response:
    """One request to the server's own application."""
    transport = httpx.ASGITransport(app=server.application())
    async with httpx.AsyncClient(transport=transport, base_url="http://reward") as client:
        headers = {"Authorization": f"Bearer {key}"}
        return await client.post("/classify", json=body, headers=headers)


async def test_every_text_has_its_score() -> None:
    """In the order of the texts, with the version of the model."""
    server = RewardServer(lambda texts: [float(len(t)) for t in texts], "v1", INTERNAL_KEY)
    found = await classify(server, model="reward", input=["one", "three", ""])

    document = found.json()
    assert document["model"] == "v1"
    assert [row["index"] for row in document["data"]] == [0, 1, 2]
    assert [row["probs"] for row in document["data"]] == [[3.0], [5.0], [0.0]]
    assert (server.answered, server.scored) == (1, 3)


async def test_a_stranger_gets_no_score() -> None:
    """Like every component it answers to its router alone."""
    server = RewardServer(lambda texts: [0.0 for _ in texts], "v1", INTERNAL_KEY)
    found = await classify(server, key="guess", input=["one"])

    assert found.status_code == 401
    assert server.answered == 0


async def test_the_last_words_are_read() -> None:
    """As vLLM keeps the last tokens: what was said last is what is scored."""
    seen = list[str]()

    def score(texts: Any) -> list[float]:
        seen.extend(texts)
        return [0.0 for _ in texts]

    await classify(
        RewardServer(score, "v1", INTERNAL_KEY), input=["a b\n c d"], truncate_prompt_tokens=3
    )

    assert seen == ["b\n c d"]
    assert tail("a b", None) == tail("a b", 2) == "a b"


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_simulated_scores_correlate_with_the_quality_as_configured(rho: float) -> None:
    """Of 4,000 texts, within four standard errors; the odds for correct code are 6e-5."""
    rng, score = random.Random(3), simulated_scorer(rho)
    texts = [f"User: {i}\nAssistant: {planted(rng)} simulated" for i in range(4000)]
    found = correlation_of([quality_of(t) or 0.0 for t in texts], score(texts))

    assert found == pytest.approx(rho, abs=4 * (1 - rho**2) / math.sqrt(4000))
    assert described(rho) == f"simulated-{rho:g}"


def test_a_text_decides_its_score() -> None:
    """Equal texts have equal scores, as those of a model have."""
    score = simulated_scorer(0.3)

    assert score(["quality=+1.000000"]) == score(["quality=+1.000000"])
    assert score(["quality=+1.000000 a"]) != score(["quality=+1.000000 b"])


def test_the_quality_is_that_of_the_last_response() -> None:
    """Earlier responses in a history have their own."""
    assert quality_of("Assistant: quality=-1.500000 so\nAssistant: quality=+0.250000") == 0.25
    assert quality_of("nothing") is None
