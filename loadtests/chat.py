"""Users who chat, for Locust: locust -f loadtests/chat.py --host http://127.0.0.1:8000

`python -m loadtests.chat --help` lists the options of this file below Locust's; Locust's own --help
comes before it reads a file.

Each user holds conversations of several turns, with the whole history and time to read and type;
--people sets the habits. In a closed loop (--users) a fixed number of users hold one conversation
after another and wait for their responses. In an open loop (--rate, --replay) conversations begin
at given times, however slow the answers are. --shape varies the load over the run. The environment
variable BLENDED_API_KEY has the keys, separated by commas; with BLENDED_MODEL all requests go to
that model.

Locust's own rows are responses to their last byte ("chat"), first tokens and the mean time between
tokens. Below them are TTFT, ITL, TPOT, E2E and goodput by component (if the blend reveals it), turn
and model, and the last line is all of that as JSON, for `python -m loadtests.report`. Failed and
abandoned responses have no latency. The exit status is 1 if more than one in a hundred responses
missed the level (--first-token-ms, --between-tokens-ms), and 2 if nothing was measured: Locust
itself was the bottleneck, the host does not answer, or it refuses the key.
"""

import json
import logging
import os
import random
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
from gevent.pool import Group  # type: ignore[import-untyped]
from locust import FastHttpUser, LoadTestShape, User, events, task
from locust.argument_parser import LocustArgumentParser, get_parser
from locust.exception import StopUser
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

# Locust finds only what lies beside this file, or in the folder where it is started.
sys.path.append(str(Path(__file__).parents[1]))

from loadtests.users import options, run_summary
from loadtests.users.answer import Answer
from loadtests.users.arrivals import part
from loadtests.users.options import LoadTest
from loadtests.users.people import Ask, Conversation, conversations
from loadtests.users.session import Session
from loadtests.users.tally import LedgerEntry, turn_group

PATH = "/v1/chat/completions"
KEYS_ENV = "BLENDED_API_KEY"
# Responses that are running at the end of a run may finish within this time.
DRAIN_S = 60.0

# Locust makes one run at a time in a process, and does not pass its environment to all hooks.
session: Session | None = None


class Person(FastHttpUser):
    """The client of one user, or of many users at once."""

    abstract = True
    network_timeout = connection_timeout = 300.0

    def on_start(self) -> None:
        """Ask for the list of models; without an answer there are none, and nothing is asked."""
        assert session is not None, "a run has begun"
        self.session = session
        self.keys = [key.strip() for key in os.environ.get(KEYS_ENV, "").split(",")]
        only = os.environ.get("BLENDED_MODEL")
        self.models = [only] if only else self._served()

    def converse(self, conversation: Conversation) -> None:
        """One conversation; it ends early when a response fails, or the run is over."""
        began, history, before = time.perf_counter(), list[dict[str, str]](), ""
        answer: Answer | None = None
        for ask in conversation.asks:
            if ask.at_s is not None:
                self.session.rest(began + ask.at_s - time.perf_counter())
            if self.session.is_over:
                return
            if ask.text:
                if answer is not None:
                    history.append({"role": "assistant", "content": answer.text})
                    before = answer.component
                history.append({"role": "user", "content": ask.text})
            answer = self._answer(conversation, ask, history, before)
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
            said = f"{response.status_code}: {response.text or response.error}"[:200]
            response.failure(said)
        self._give_up(_no_models(str(self.host), response.status_code, said))
        return []

    def _give_up(self, sentence: str) -> None:
        """End a run that can measure nothing; a worker's master hears of its failures."""
        environment: Any = self.environment
        if self.session.failure:
            return
        self.session.failure = sentence
        logging.error("%s", sentence)
        if isinstance(environment.runner, LocalRunner):
            # It stops this user as well, which cannot wait for that itself.
            gevent.spawn(environment.runner.stop if environment.web_ui else environment.runner.quit)

    def _answer(
        self,
        conversation: Conversation,
        ask: Ask,
        history: Sequence[dict[str, str]],
        before: str,
    ) -> Answer | None:
        """The answer to a history, or its beginning if the user leaves; None for a failure.

        `before` is the component that gave the last response in the history.
        """
        answer = Answer(conversation.model, len(history) // 2 + 1, ask.streamed, before)
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
        return None if answer.outcome == "failed" else answer

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
    """One user of a closed loop."""

    def on_start(self) -> None:
        """Every user has conversations of its own, the same in every run."""
        super().on_start()
        run, worker = self.session.run, getattr(self.environment.runner, "worker_index", 0)
        rng = random.Random(f"{run.seed} {worker} {next(self.session.numbers)}")
        if self.models:
            self.conversations = conversations(run.people, rng, self.models)

    @task
    def chat(self) -> None:
        """The next conversation."""
        if self.session.is_over or not self.models:
            raise StopUser
        self.converse(next(self.conversations))


class ArrivalProcess(Person):
    """All users of one process in an open loop."""

    # More connections than there can be users; the default of 10 would make it a closed loop.
    concurrency = 100_000

    def on_start(self) -> None:
        """Start without any user."""
        self.there = Group()
        super().on_start()

    @task
    def receive(self) -> None:
        """Begin each conversation at its time, and end with the last of them."""
        environment: Any = self.environment
        workers, me = environment.parsed_options.workers, environment.runner.client_id
        if me not in workers or not self.models:
            raise StopUser  # a worker that joined later: the others have all of the arrivals
        arrivals = self.session.run.arrivals(self.models)
        for at_s, conversation in part(arrivals, workers.index(me), len(workers)):
            self.session.rest(at_s - self.session.at_s)
            self.there.spawn(self.converse, conversation)
        self.there.join()
        raise StopUser

    def on_stop(self) -> None:
        """End the conversations that are still running."""
        self.there.kill()


class UserCountShape(LoadTestShape):
    """The number of Locust's users: in an open loop one per process, with all conversations."""

    use_common_options = True

    def tick(self) -> tuple[int, float, list[type[User]] | None] | None:
        """Part of LoadTestShape: the number of users, how fast they start, and their class."""
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
    """Locust's hook: report a mistake in the options before anything starts."""
    if not isinstance(environment.runner, WorkerRunner):
        _run(environment)


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def begin(environment: Any, **_: object) -> None:
    """Locust's hook: a new run, in a master and in each of its workers."""
    global session
    session = Session(_run(environment))
    if not isinstance(runner := environment.runner, WorkerRunner):
        # A master sends its options to the workers, except for its run time. The workers find their
        # parts of the arrivals by their ids.
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
    """Locust's hook: a worker reports its measurements since its last report."""
    if session is not None:
        data["ledger"], data["client"] = session.ledger.take(), session.client.to_wire()


@events.worker_report.add_listener  # type: ignore[untyped-decorator]
def receive(client_id: str, data: dict[str, Any]) -> None:
    """Locust's hook: the master receives them."""
    if session is not None and "ledger" in data:
        session.ledger.give(data["ledger"])
        session.clients[client_id] = data["client"]


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def judge(environment: Any, **_: object) -> None:
    """Locust's hook: the exit status, in the process that has the measurements of all workers."""
    if session is None or isinstance(environment.runner, WorkerRunner):
        return
    if session.failure:
        environment.process_exit_code = 2
        return
    if not isinstance(environment.runner, MasterRunner):
        session.clients["local"] = session.client.to_wire()
    errors = environment.stats.errors.values()
    session.document = session.conclude({str(e.error): e.occurrences for e in errors})
    complaints = [*session.document["missed"], *session.document["refused"]]
    for sentence in (run_summary.verdict(session.document), *complaints):
        print(sentence, file=sys.stderr)
    if complaints:
        environment.process_exit_code = 2 if session.document["refused"] else 1


@events.quit.add_listener  # type: ignore[untyped-decorator]
def conclude(**_: object) -> None:
    """Locust's hook: print the additional figures below Locust's own tables."""
    if session is not None and session.document is not None:
        print(
            run_summary.table(session.document), *run_summary.describe(session.document), sep="\n"
        )
        print(json.dumps(session.document), flush=True)


def _run(environment: Any) -> LoadTest:
    """The settings from the options; a mistake in them ends Locust."""
    try:
        return options.run(environment.parsed_options)
    except (OSError, ValueError) as exc:
        sys.exit(f"{exc}")


def _no_models(host: str, status: int, said: str) -> str:
    """Why there is nothing to measure, and what to do."""
    if not status:
        return f"{host} does not answer ({said}); start the blend there, or correct --host."
    if status == 401:
        what = "its key is wrong" if os.environ.get(KEYS_ENV) else "it is not set"
        return f"{host} wants a key of the blend in {KEYS_ENV}, and {what} ({said})."
    return f"{host}/v1/models is no list of a blend's models ({said}); correct --host."


def main(arguments: Sequence[str]) -> None:
    """Locust with this file, whose options its help then has."""
    if {"-h", "--help"} & set(arguments):
        get_parser().parse_args(["--help"])
    os.execv(sys.executable, [sys.executable, "-m", "locust", "-f", __file__, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
