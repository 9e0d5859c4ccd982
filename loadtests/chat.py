"""People who chat, for Locust: locust -f loadtests/chat.py --host http://127.0.0.1:8000

Every user holds one conversation after another: some turns each, streamed, with the whole history
and time to read and type in between. The key is in the environment variable BLENDED_API_KEY, the
model in BLENDED_MODEL (the blend itself if there is none). Needs Locust alone.

Reported are the responses ("chat", to the last byte) and, of those that came to their end, the
time to the first token, of all and by turn and component (where the blend names it), and the mean
time between tokens. With --first-token-ms the test has a service level: Locust's exit status is 1
if more than one in a hundred responses failed or had its first token later.
"""

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

from locust import FastHttpUser, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import WorkerRunner

PATH = "/v1/chat/completions"
WORDS = (
    "sun",
    "rain",
    "tea",
    "friends",
    "music",
    "work",
    "dreams",
    "summer",
    "home",
    "books",
    "cats",
)

# Means: turns of a conversation, seconds between a response and the next message.
TURNS, THINK_S = 5.0, 3.0
# The share of the responses that have to keep the service level.
GOODPUT = 0.99


class Failed(Exception):
    """A response that did not come to its end."""


class Chatter(FastHttpUser):
    """One person; open-ended, because Locust says how many there are and for how long."""

    network_timeout = connection_timeout = 300.0

    def on_start(self) -> None:
        """Ask which model to talk to."""
        self.headers = {"Authorization": f"Bearer {os.environ.get('BLENDED_API_KEY', '')}"}
        self.model = os.environ.get("BLENDED_MODEL") or self._first_model()

    @task
    def converse(self) -> None:
        """One conversation; it ends early when a response fails."""
        conversation, history = f"{random.getrandbits(128):032x}", list[dict[str, str]]()
        while not history or random.random() > 1 / TURNS:
            history.append({"role": "user", "content": _message(len(history))})
            words = self._ask(conversation, history)
            time.sleep(random.expovariate(1 / THINK_S))
            if words is None:
                return
            history.append({"role": "assistant", "content": words})

    def _first_model(self) -> str:
        with self.client.get(
            "/v1/models", headers=self.headers, name="models", catch_response=True
        ) as response:
            if response.status_code == 200:
                return str(response.json()["data"][0]["id"])
            response.failure(f"{response.status_code}: {response.text[:200]}")
        raise StopUser

    def _ask(self, conversation: str, history: list[dict[str, str]]) -> str | None:
        """What is answered to a history; None for a failure, which is counted."""
        began = time.perf_counter()
        with self.client.post(
            PATH,
            json={"model": self.model, "messages": history, "stream": True},
            headers={**self.headers, "X-Conversation-ID": conversation},
            name="chat",
            stream=True,
            catch_response=True,
        ) as response:
            try:
                pieces = list(_pieces(response))
            except (Failed, OSError, ValueError) as exc:
                response.failure(str(exc))
                return None
            # Locust measures up to the headers.
            response.request_meta["response_time"] = 1e3 * (time.perf_counter() - began)
            response.success()
            component = response.headers.get("x-blended-component", "")
        times = [at for at, _ in pieces]
        for name, seconds in _figures(began, times, len(history) // 2 + 1, component):
            self._report(name, 1e3 * seconds)
        return "".join(text for _, text in pieces)

    def _report(self, name: str, milliseconds: float) -> None:
        self.environment.events.request.fire(
            request_type="POST",
            name=name,
            response_time=milliseconds,
            response_length=0,
            exception=None,
            context={},
        )


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: LocustArgumentParser) -> None:
    """Locust's hook: the options of this file."""
    text = "service level: first tokens of 99 in 100 responses within so many milliseconds"
    parser.add_argument("--first-token-ms", type=float, default=None, help=text)
    parser.add_argument(
        "--seed", type=int, default=1, help="of what people say, and of their pauses"
    )


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def seed(environment: Environment, **_: object) -> None:
    """Locust's hook: every worker draws numbers of its own, the same in every run."""
    worker = getattr(environment.runner, "worker_index", 0)
    random.seed(f"{getattr(environment.parsed_options, 'seed', 1)} {worker}")


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def judge(environment: Environment, **_: object) -> None:
    """Locust's hook: the exit status, from the statistics of all workers, where these are."""
    level = getattr(environment.parsed_options, "first_token_ms", None)
    if level is None or isinstance(environment.runner, WorkerRunner):
        return
    chat = environment.stats.get("chat", "POST")
    first = environment.stats.get("first token", "POST")
    late = sum(n for ms, n in first.response_times.items() if ms > level)
    good = 1 - (chat.num_failures + late) / chat.num_requests if chat.num_requests else 0.0
    sentence = f"{good:.2%} of {chat.num_requests} responses kept the level of {level:g} ms."
    print(sentence, file=sys.stderr)
    if good < GOODPUT:
        environment.process_exit_code = 1


def _message(turn: int) -> str:
    """What somebody says; the conversations of two people differ from their first message on."""
    topic = " and ".join(random.sample(WORDS, 2))
    return f"Hello, let us talk about {topic}." if turn == 0 else f"And what about {topic}?"


def _figures(
    began: float, times: list[float], turn: int, component: str
) -> Iterator[tuple[str, float]]:
    """What is reported of a response beside its whole time, in seconds."""
    if not times:
        return
    first = times[0] - began
    yield "first token", first
    yield f"first token, turn {_group(turn)}", first
    if component:
        yield f"first token, {component}", first
    if len(times) > 1:
        yield "between tokens", (times[-1] - times[0]) / (len(times) - 1)


def _group(turn: int) -> str:
    """Turns whose histories are about as long."""
    return "1" if turn == 1 else "2 to 4" if turn <= 4 else "5 on"


def _pieces(response: Any) -> Iterator[tuple[float, str]]:
    """The pieces of a streamed response and when they came, by `time.perf_counter`.

    Raises:
        Failed: there is no response, it broke off, or it ended without saying that it was done.
    """
    if response.status_code != 200:
        raise Failed(f"{response.status_code}: {response.text[:200]}")
    while line := response.stream.readline(b"\n"):
        data = line.decode().strip().removeprefix("data: ")
        if data == "[DONE]":
            return
        event = json.loads(data or "{}")
        if "error" in event:
            raise Failed(event["error"]["message"])
        for choice in event.get("choices", ()):
            if text := choice["delta"].get("content"):
                yield time.perf_counter(), text
    raise Failed("The stream ended without [DONE].")
