"""A reward model without an engine: an ASGI application that answers as vLLM's /classify does."""

import asyncio
import hashlib
import math
import random
import re
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from blended.components.internal_key import Guard
from blended.components.simulated_quality import quality_of

# The scores of texts, in their order.
Scorer = Callable[[Sequence[str]], Sequence[float]]

_WORD = re.compile(r"\S+")


class RewardServer:
    """One `replica` of the model of `version`; requests must have the internal `key`.

    It takes `wait_s` to answer. `answered` counts requests, `scored` texts.
    """

    def __init__(
        self,
        score: Scorer,
        version: str,
        key: str,
        replica: str | None = None,
        wait_s: float = 0.0,
    ) -> None:
        self._score, self._version = score, version
        self._key, self._replica, self._wait_s = key, replica, wait_s
        self.answered = self.scored = 0

    def application(self) -> ASGIApp:
        """The ASGI application, with the paths that vLLM has."""
        routes = [
            Route("/health", self._health),
            Route("/classify", self._classify, methods=["POST"]),
        ]
        return Guard(Starlette(routes=routes), self._key, self._replica)

    async def _health(self, _: Request) -> Response:
        return Response()

    async def _classify(self, request: Request) -> Response:
        body = await request.json()
        texts = [tail(text, body.get("truncate_prompt_tokens")) for text in body["input"]]
        await asyncio.sleep(self._wait_s)
        rows = [{"index": i, "probs": [s]} for i, s in enumerate(self._score(texts))]
        self.answered += 1
        self.scored += len(texts)
        return JSONResponse({"object": "list", "model": self._version, "data": rows})


def tail(text: str, words: int | None) -> str:
    """The text from its last so many words on; the whole of it without a number."""
    found = [match.start() for match in _WORD.finditer(text)]
    return text if words is None or len(found) <= words else text[found[-words] :]


def simulated_scorer(correlation: float) -> Scorer:
    """Scores of unit variance that correlate so much with the quality that texts carry.

    The text alone decides its noise, so that equal texts have equal scores.
    """

    def score(text: str) -> float:
        seed = hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest()
        noise = random.Random(seed).gauss(0, 1)
        true: float = quality_of(text) or 0.0
        return correlation * true + math.sqrt(1 - correlation**2) * noise

    return lambda texts: [score(text) for text in texts]


def described(correlation: float) -> str:
    """The version of a simulated reward model."""
    return f"simulated-{correlation:g}"
