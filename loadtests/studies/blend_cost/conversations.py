"""Conversations through a blend's front door, with the engine seconds of every response."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from loadtests.studies.blend_cost.engines import rest
from loadtests.studies.blend_cost.series import ResponseCost, Series, user_message

Message = dict[str, str]


class UnexpectedResponse(RuntimeError):
    """A response that did not end properly, or is not as requested."""


@dataclass(frozen=True)
class EngineAnswer:
    """An answer: its component, its text, and the tokens of prompt, cache and response."""

    component: str
    text: str
    prompt: int
    cached: int
    tokens: int


@dataclass(frozen=True)
class Door:
    """The address of a blend of this name, and the number of tokens of its responses."""

    http: httpx.Client
    url: str
    blend: str
    tokens: int

    def ask(
        self, model: str | None, group: str, salt: str, messages: list[Message]
    ) -> EngineAnswer:
        """One response of a component, or of the blend; `salt` separates its cache from all others.

        The group keys the draws: in the same turn all of its conversations draw the same component.

        Raises:
            UnexpectedResponse: there is no response, not at first, or not with the requested
                tokens.
        """
        body = {
            "model": model or self.blend,
            "messages": messages,
            "max_tokens": self.tokens,
            "min_tokens": self.tokens,
        }
        # Each user has a cache of their own (api.cache_salt).
        headers = {"X-Conversation-ID": group, "Idempotency-Key": group, "X-User-ID": salt}
        try:
            response = self.http.post(self.url, json=body, headers=headers)
        except httpx.HTTPError as exc:
            raise UnexpectedResponse(f"The blend did not answer: {exc}.") from exc
        if response.status_code != 200:
            raise UnexpectedResponse(f"{response.status_code}: {response.text[:200]}")
        return self._read(response)

    def _read(self, response: httpx.Response) -> EngineAnswer:
        attempts = response.headers["x-blended-attempts"]
        document = response.json()
        usage = document["usage"]
        if attempts != "1" or usage["completion_tokens"] != self.tokens:
            raise UnexpectedResponse(
                f"{usage['completion_tokens']} tokens came after {attempts} attempts; "
                f"it should be {self.tokens} after one."
            )
        return EngineAnswer(
            component=response.headers["x-blended-component"],
            text=document["choices"][0]["message"]["content"],
            prompt=usage["prompt_tokens"],
            cached=(usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0),
            tokens=usage["completion_tokens"],
        )


@dataclass(frozen=True)
class Meter:
    """CPU seconds by component so far, and the share of a CPU that each idle engine takes."""

    spent: Callable[[], Mapping[str, float]]
    idle: Mapping[str, float]
    sleep: Callable[[float], None] = time.sleep

    def measure(
        self, ask: Callable[[], Sequence[EngineAnswer]]
    ) -> tuple[Sequence[EngineAnswer], float]:
        """Answers of one engine, once all engines are idle, and its CPU seconds for each of them.

        Raises:
            UnexpectedResponse: several engines answered.
        """
        rest(self.spent, self.sleep)
        before, began = self.spent(), time.perf_counter()
        answers = ask()
        took = time.perf_counter() - began
        after = self.spent()
        if len({answer.component for answer in answers}) != 1:
            raise UnexpectedResponse(
                "Conversations that share their draws were answered by several components."
            )
        component = answers[0].component
        used = after[component] - before[component] - self.idle[component] * took
        return answers, used / len(answers)


class ConversationGroup:
    """Conversations held at once, turn by turn, that draw the same components.

    So one engine works at a time, on a batch as large as the group, also in the blend.
    """

    def __init__(self, series: Series, name: str, number: int, size: int) -> None:
        self.series, self._name, self._number = series, name, number
        self._messages: list[list[Message]] = [[] for _ in range(size)]
        self.conversations: list[list[ResponseCost]] = [[] for _ in range(size)]

    def take_turn(self, door: Door, meter: Meter, pool: ThreadPoolExecutor) -> None:
        """The next turn of all.

        Raises:
            UnexpectedResponse: a response did not come as it was asked for.
        """
        turn = len(self.conversations[0]) + 1
        for member, messages in enumerate(self._messages):
            text = user_message(self._number + member, turn)
            messages.append({"role": "user", "content": text})

        def ask(member: int) -> EngineAnswer:
            salt = f"{self._name} {member} {turn % self.series.caches}"
            return door.ask(self.series.component, self._name, salt, self._messages[member])

        members = range(len(self._messages))
        answers, engine_s = meter.measure(lambda: list(pool.map(ask, members)))
        for member, answer in enumerate(answers):
            self._messages[member].append({"role": "assistant", "content": answer.text})
            tokens = (answer.prompt, answer.cached, answer.tokens)
            response = ResponseCost(answer.component, turn, *tokens, engine_s)
            self.conversations[member].append(response)
