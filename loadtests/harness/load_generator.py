"""Closed-loop load: every client sends its next request when its response has ended.

`python -m loadtests.harness.load_generator` reads a Job as JSON and prints a Sample as JSON: a
process of its own, so that nothing else delays its clock.
"""

import asyncio
import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from time import perf_counter
from typing import Any

import uvloop

from loadtests.harness.percentiles import Quantiles, quantiles
from loadtests.harness.timed_exchange import Connection, Exchange

TIMEOUT_S = 30.0
_PAUSE_AFTER_FAILURE_S = 0.05
_NUMBER = "00000000"


@dataclass(frozen=True)
class Job:
    """A load: the request, the address, the number of clients and the duration.

    The clients begin spread over `stagger_s`. `token` is a text that every token of a stream holds
    once. A stream with fewer than `min_tokens`, or without [DONE], has failed; 0 means no stream.
    """

    host: str
    port: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    clients: int
    seconds: float
    stagger_s: float
    token: str
    min_tokens: int


@dataclass(frozen=True)
class Sample:
    """The measurements; `per_s` is the rate from the first request to the end of the last response,
    `full_per_s` that of the responses that ended while all clients were sending requests.

    All times are in milliseconds; a time that a response does not have is null.
    """

    responses: int
    failures: int
    failure: str
    per_s: float
    total_ms: Quantiles | None
    ttft_ms: Quantiles | None
    itl_ms: Quantiles | None
    full_per_s: float


def request_template(job: Job) -> bytes:
    """The whole HTTP request; the number in its text makes it a new conversation."""
    body = json.dumps(job.body).encode()
    headers = {"host": f"{job.host}:{job.port}", "content-type": "application/json"}
    headers |= {"content-length": str(len(body))} | job.headers
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {job.path} HTTP/1.1\r\n{head}\r\n".encode() + body


def text(kind: str) -> str:
    """A user message of this kind, with room for the number of the request."""
    return f"{_NUMBER} {kind}, please: a conversation like any other."


@dataclass
class RunningJob:
    """A job under way, shared by its clients."""

    job: Job
    start_s: float
    done: list[Exchange] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    sent: int = 0

    async def client(self, index: int) -> None:
        """Send requests until the time is over, and wait for the last response."""
        template, token = request_template(self.job), self.job.token.encode()
        connection: Connection | None = None
        await asyncio.sleep(self.job.stagger_s * index / self.job.clients)
        while perf_counter() < self.start_s + self.job.seconds:
            self.sent += 1
            number = b"%0*d" % (len(_NUMBER), self.sent)
            request = template.replace(_NUMBER.encode(), number)
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    connection = await self._connected(connection)
                    self._judge(await connection.ask(request, token))
            except OSError as exc:
                self.failures.append(f"{type(exc).__name__}: {exc}")
                if connection is not None:
                    connection.close()
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
        if connection is not None:
            connection.close()

    async def _connected(self, connection: Connection | None) -> Connection:
        if connection is not None and connection.open:
            return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self.job.host, self.job.port)
        return connection

    def _judge(self, exchange: Exchange) -> None:
        failure = exchange.failure(self.job.min_tokens)
        if failure:
            self.failures.append(failure)
        else:
            self.done.append(exchange)


async def run(job: Job) -> Sample:
    """Run a job to its end."""
    load = RunningJob(job, perf_counter())
    await asyncio.gather(*(load.client(index) for index in range(job.clients)))
    return summarise(load)


def apart(job: Job) -> Sample:
    """Run a job in a process of its own."""
    command = [sys.executable, "-m", "loadtests.harness.load_generator"]
    done = subprocess.run(
        command, input=json.dumps(asdict(job)), capture_output=True, text=True, check=True
    )
    return Sample(**json.loads(done.stdout))


def _full_per_s(load: RunningJob) -> float:
    begin, seconds = load.job.stagger_s, load.job.seconds
    ended = sum(begin <= e.last_s - load.start_s < seconds for e in load.done)
    return ended / (seconds - begin)


def summarise(load: RunningJob) -> Sample:
    """The figures of a finished job."""
    tokens = [exchange.tokens_s for exchange in load.done if exchange.tokens_s]
    gaps = [b - a for times in tokens for a, b in pairwise(times)]
    took_s = max((e.last_s for e in load.done), default=load.start_s) - load.start_s
    streams = load.done if load.job.min_tokens else []
    return Sample(
        responses=len(load.done),
        failures=len(load.failures),
        failure=load.failures[0] if load.failures else "",
        per_s=len(load.done) / took_s if load.done else 0.0,
        total_ms=quantiles([(e.last_s - e.sent_s) * 1e3 for e in load.done]),
        ttft_ms=quantiles([(e.tokens_s[0] - e.sent_s) * 1e3 for e in streams]),
        itl_ms=quantiles([gap * 1e3 for gap in gaps]) if streams else None,
        full_per_s=_full_per_s(load),
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(run(Job(**json.load(sys.stdin)))))))
