"""People who chat, for Locust: locust -f loadtests/chat.py --host http://127.0.0.1:8000

They hold conversations: some turns each, with the whole history and time to read and type, as
--people says. In a closed loop (--users) so many people do, one conversation after another, and
wait for their responses. In an open one (--rate, --replay) conversations begin when they begin,
however slow the answers are. --shape varies either over the run. Keys are in the environment
variable BLENDED_API_KEY, separated by commas; a model in BLENDED_MODEL is the only one asked.

Locust's own rows are responses to their last byte ("chat"), first tokens and the mean time between
tokens. Below them stand TTFT, ITL, TPOT, E2E and goodput by component (where the blend names it),
turn and model, and the last line is all of that as JSON, for `python -m loadtests.report`. Failed
and abandoned responses have no latency. The exit status is 1 if more than one in a hundred
responses missed the level (--first-token-ms, --between-tokens-ms), or if Locust itself was the
bottleneck.
"""

import json
import logging
import os
import random
import sys
import time
import zlib
from collections.abc import Sequence
from typing import Any

from gevent.pool import Group  # type: ignore[import-untyped]
from locust import FastHttpUser, LoadTestShape, User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from loadtests.users import options, run_summary
from loadtests.users.answer import Answer
from loadtests.users.arrivals import part
from loadtests.users.options import LoadTest
from loadtests.users.people import Ask, Conversation, conversations
from loadtests.users.session import Session
from loadtests.users.tally import LedgerEntry, turn_group

PATH = "/v1/chat/completions"
# What is under way when a run is over may end.
DRAIN_S = 60.0

# Locust makes one run at a time in a process, and not all of its hooks hear of its environment.
session: Session | None = None


class Person(FastHttpUser):
    """The client of one person, or of many who take their turns at once."""

    abstract = True
    network_timeout = connection_timeout = 300.0

    def on_start(self) -> None:
        """Ask which models there are."""
        assert session is not None, "a run has begun"
        self.session = session
        self.keys = [key.strip() for key in os.environ.get("BLENDED_API_KEY", "").split(",")]
        only = os.environ.get("BLENDED_MODEL")
        self.models = [only] if only else self._served()

    def converse(self, conversation: Conversation) -> None:
        """One conversation; it ends early when a response fails, or the run is over."""
        began, history = time.perf_counter(), list[dict[str, str]]()
        answer: str | None = None
        for ask in conversation.asks:
            if ask.at_s is not None:
                self.session.rest(began + ask.at_s - time.perf_counter())
            if self.session.is_over:
                return
            if ask.text:
                history += [] if answer is None else [{"role": "assistant", "content": answer}]
                history.append({"role": "user", "content": ask.text})
            answer = self._answer(conversation, ask, history)
            self.session.rest(ask.pause_s)
            if answer is None:
                return

    def _served(self) -> list[str]:
        headers = {"Authorization": f"Bearer {self.keys[0]}"}
        with self.client.get(
            "/v1/models", headers=headers, name="models", catch_response=True
        ) as response:
            if response.status_code == 200:
                return [str(model["id"]) for model in response.json()["data"]]
            response.failure(f"{response.status_code}: {response.text or response.error}"[:200])
        raise StopUser

    def _answer(
        self, conversation: Conversation, ask: Ask, history: Sequence[dict[str, str]]
    ) -> str | None:
        """What is answered to a history, perhaps its beginning only; None for a failure."""
        answer = Answer(conversation.model, len(history) // 2 + 1, ask.streamed)
        body = {"model": conversation.model, "messages": history, "stream": ask.streamed}
        try:
            with self.client.post(
                PATH,
                json=body,
                headers=self._headers(conversation),
                name="chat",
                stream=True,
                catch_response=True,
            ) as response:
                answer.read(response, ask.leave_after)
        finally:
            # Locust may take the user away in the middle.
            self._report(answer.response(self.models[0]))
        return None if answer.outcome == "failed" else answer.text

    def _headers(self, conversation: Conversation) -> dict[str, str]:
        """A user has one key for good."""
        key = self.keys[zlib.crc32(conversation.user.encode()) % len(self.keys)]
        return {
            "Authorization": f"Bearer {key}",
            "X-User-ID": conversation.user,
            "X-Conversation-ID": conversation.id,
        }

    def _report(self, response: LedgerEntry) -> None:
        self.session.ledger.add(response, response.began_s - self.session.began_s)
        if response.outcome != "finished" or response.first_s is None:
            return
        names = ["first token", f"first token, turn {turn_group(response.turn)}"]
        names += [f"first token, {response.component}"] if response.component else []
        for name in names:
            self._row(name, response.first_s)
        if response.between_s is not None:
            self._row("between tokens", response.between_s)

    def _row(self, name: str, seconds: float) -> None:
        self.environment.events.request.fire(
            request_type="POST",
            name=name,
            response_time=1e3 * seconds,
            response_length=0,
            exception=None,
            context={},
        )


class Chatter(Person):
    """One person of a closed loop."""

    def on_start(self) -> None:
        """Everybody has conversations of their own, the same in every run."""
        super().on_start()
        run, worker = self.session.run, getattr(self.environment.runner, "worker_index", 0)
        rng = random.Random(f"{run.seed} {worker} {next(self.session.numbers)}")
        self.conversations = conversations(run.people, rng, self.models)

    @task
    def chat(self) -> None:
        """The next conversation."""
        if self.session.is_over:
            raise StopUser
        self.converse(next(self.conversations))


class ArrivalProcess(Person):
    """Everybody who comes to one process in an open loop."""

    # More than can be there at once; the default of 10 would make it a closed loop.
    concurrency = 100_000

    def on_start(self) -> None:
        """Nobody is there yet."""
        self.there = Group()
        super().on_start()

    @task
    def receive(self) -> None:
        """Begin each conversation at its time, and end with the last of them."""
        environment: Any = self.environment
        workers, me = environment.parsed_options.workers, environment.runner.client_id
        if me not in workers:
            raise StopUser  # it has joined later, and the others have all of the arrivals
        arrivals = self.session.run.arrivals(self.models)
        for at_s, conversation in part(arrivals, workers.index(me), len(workers)):
            self.session.rest(at_s - self.session.at_s)
            self.there.spawn(self.converse, conversation)
        self.there.join()
        raise StopUser

    def on_stop(self) -> None:
        """Take those away who are still there."""
        self.there.kill()


class UserCountShape(LoadTestShape):
    """How many users there are: in an open loop one in each process, who receives the others."""

    use_common_options = True

    def tick(self) -> tuple[int, float, list[type[User]] | None] | None:
        """Part of LoadTestShape: users, how fast they come, and of which class."""
        runner: Any = self.runner
        try:
            run = options.run(runner.environment.parsed_options)
        except (OSError, ValueError) as exc:
            logging.error("%s", exc)  # it has come from the web UI, which goes on
            return None
        at_s = self.get_run_time()  # type: ignore[no-untyped-call]
        if at_s >= run.seconds and not (runner.user_count and at_s < run.seconds + DRAIN_S):
            return None
        if run.is_open:
            workers = runner.worker_count
            return workers, workers, [ArrivalProcess]
        return run.users_at(at_s), run.spawn_rate, [Chatter]


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: LocustArgumentParser) -> None:
    """Locust's hook: the options of this file."""
    options.add(parser)


@events.init.add_listener  # type: ignore[untyped-decorator]
def check(environment: Any, **_: object) -> None:
    """Locust's hook: a mistake in the options is told before anything starts."""
    if not isinstance(environment.runner, WorkerRunner):
        _run(environment)


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def begin(environment: Any, **_: object) -> None:
    """Locust's hook: a new run, in a master and in each of its workers."""
    global session
    session = Session(_run(environment))
    if not isinstance(runner := environment.runner, WorkerRunner):
        # A master sends its options to the workers, but for its run time; and by their ids they
        # find which part of the arrivals is theirs.
        is_master = isinstance(runner, MasterRunner)
        ids = [client.id for client in runner.clients.ready] if is_master else [runner.client_id]
        environment.parsed_options.workers = ids
        environment.parsed_options.lasts_s = environment.parsed_options.run_time


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def end(**_: object) -> None:
    """Locust's hook: the run is over."""
    if session is not None:
        session.client.stop()


@events.report_to_master.add_listener  # type: ignore[untyped-decorator]
def send(client_id: str, data: dict[str, Any]) -> None:
    """Locust's hook: what a worker has measured since its last report."""
    if session is not None:
        data["ledger"], data["client"] = session.ledger.take(), session.client.to_wire()


@events.worker_report.add_listener  # type: ignore[untyped-decorator]
def receive(client_id: str, data: dict[str, Any]) -> None:
    """Locust's hook: a master hears it."""
    if session is not None and "ledger" in data:
        session.ledger.give(data["ledger"])
        session.clients[client_id] = data["client"]


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def judge(environment: Any, **_: object) -> None:
    """Locust's hook: the exit status, from the measurements of all workers, where these are."""
    if session is None or isinstance(environment.runner, WorkerRunner):
        return
    if not isinstance(environment.runner, MasterRunner):
        session.clients["local"] = session.client.to_wire()
    errors = environment.stats.errors.values()
    session.document = session.conclude({str(e.error): e.occurrences for e in errors})
    complaints = [*session.document["missed"], *session.document["refused"]]
    for sentence in (run_summary.verdict(session.document), *complaints):
        print(sentence, file=sys.stderr)
    if complaints:
        environment.process_exit_code = 1


@events.quit.add_listener  # type: ignore[untyped-decorator]
def conclude(**_: object) -> None:
    """Locust's hook: what its own tables do not have, below them."""
    if session is not None and session.document is not None:
        print(
            run_summary.table(session.document), *run_summary.describe(session.document), sep="\n"
        )
        print(json.dumps(session.document), flush=True)


def _run(environment: Any) -> LoadTest:
    """What the options say; a mistake in them ends Locust."""
    try:
        return options.run(environment.parsed_options)
    except (OSError, ValueError) as exc:
        sys.exit(f"{exc}")
