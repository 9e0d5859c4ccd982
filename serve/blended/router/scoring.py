"""One request to the reward model, which scores candidates. It may fail: the caller goes on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

from blended.internal import SESSION_HEADER

Unscored = Literal["late", "full", "unavailable", "broken"]

# Serve's proxy answers 404 as long as the application is not there.
_REASONS: dict[int, Unscored] = {
    404: "unavailable",
    429: "full",
    502: "unavailable",
    503: "unavailable",
}


@dataclass(frozen=True)
class Reward:
    """The address of the reward model, and how to ask it.

    `tokens` is how many of each text it reads, from the end; `version` is what responses' records
    name, None where the model itself says it.
    """

    base_url: str
    model: str
    key: str = field(repr=False)
    timeout_s: float
    tokens: int
    version: str | None


@dataclass(frozen=True)
class Scores:
    """A score for each text, in order, and the version of the model that gave them."""

    values: tuple[float, ...]
    version: str


class NoScores(Exception):
    """The reward model gave no scores in time; `reason` says why not."""

    def __init__(self, reason: Unscored) -> None:
        super().__init__(reason)
        self.reason = reason


async def scores(
    session: aiohttp.ClientSession,
    reward: Reward,
    texts: Sequence[str],
    conversation: str,
    context: Mapping[str, str],
) -> Scores:
    """The scores of texts, in one request; `context` are headers that join it to a trace.

    Raises:
        NoScores: late, full, not there, or an answer without them.
    """
    body = {
        "model": reward.model,
        "input": list(texts),
        # A softmax over one label would be 1 for every text.
        "use_activation": False,
        "truncate_prompt_tokens": reward.tokens,
        # vLLM's pooling engines would keep the first tokens.
        "truncation_side": "left",
    }
    headers = {
        "authorization": f"Bearer {reward.key}",
        SESSION_HEADER: conversation,
        **context,
    }
    timeout = aiohttp.ClientTimeout(total=reward.timeout_s)
    try:
        async with session.post(
            f"{reward.base_url}/classify", json=body, headers=headers, timeout=timeout
        ) as response:
            if response.status != 200:
                raise NoScores(_reason(response.status))
            document = await response.json(content_type=None)
        return _read(document, len(texts), reward.version)
    except TimeoutError as exc:
        raise NoScores("late") from exc
    except aiohttp.ClientError as exc:
        raise NoScores("unavailable") from exc
    except (ValueError, LookupError, TypeError, RecursionError) as exc:
        raise NoScores("broken") from exc


def _reason(status: int) -> Unscored:
    return _REASONS.get(status, "broken")


def _read(document: Any, count: int, version: str | None) -> Scores:
    """The scores in an answer like vLLM's.

    Raises:
        ValueError: they are not as many as asked for, or not all of them are finite.
    """
    rows = sorted(document["data"], key=lambda row: row["index"])
    found = tuple(float(row["probs"][0]) for row in rows)
    if len(found) != count or not all(map(math.isfinite, found)):
        raise ValueError(f"{len(found)} scores for {count} texts, or one that is not finite")
    return Scores(found, version or str(document["model"]))
