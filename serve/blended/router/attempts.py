"""Asks components for an answer, each with the history in its form, until one answers."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import aiohttp

from blended.config import Capability
from blended.errors import ApiError
from blended.experiments.assignment import Assignment
from blended.retry_after import RETRY_AFTER_S
from blended.router import cache_salt, complaints, requests, selection
from blended.router.arrivals import Arrivals
from blended.router.availability import Availability
from blended.router.blame import CONTEXT_EXCEEDED
from blended.router.blend import Blend, Upstream
from blended.router.body import aside
from blended.router.failover import Choice, Failure, choose
from blended.router.fields import CHAT_FIELDS, COMPLETION_FIELDS
from blended.router.history import legal_form, window
from blended.router.remote_dialects import DIALECTS
from blended.router.selection import Draw, SelectionDistribution
from blended.router.timing import Timing
from blended.router.turns import Turn
from blended.router.upstream import (
    Answer,
    Complaint,
    Question,
    Unanswered,
    ask,
)
from blended.tracing import ResponseTrace

logger = logging.getLogger(__name__)

CHAT, COMPLETIONS = "/chat/completions", "/completions"
FIELDS = {CHAT: CHAT_FIELDS, COMPLETIONS: COMPLETION_FIELDS}


@dataclass(frozen=True)
class Inquiry:
    """A checked request of a client, with everything on which the choice of a component depends.

    `nonce` keys the draw: a new one for each request, or a repeated one. `user` is the user that
    the client named, by their hash in the journal, and `assignment` the user's arm if it decides
    this request. `needs` are the capabilities that it needs. `distribution` is that of the arm or
    of the blend among the components that have them, or gives probability 1 to the component that
    the client named. `request_id` comes from the client or the proxy in front;
    `response_id` identifies the response to the client. `prompt_tokens` is an estimate from the
    request; `size_bytes` is the size of its body.
    """

    blend: Blend
    path: str
    payload: requests.Payload
    key_name: str
    turn: Turn
    nonce: str
    request_id: str
    response_id: str
    size_bytes: int
    prompt_tokens: int
    user: str | None
    assignment: Assignment | None
    needs: tuple[Capability, ...]
    distribution: SelectionDistribution

    def uniform(self, k: int) -> float:
        """The number that decides the k-th draw for this request."""
        nonce = self.nonce if k == 0 else f"{self.nonce}/{k}"
        seed = self.blend.config.selection.seed
        return selection.uniform(seed, self.turn.conversation, self.turn.number, nonce)

    def possible(self) -> list[Upstream]:
        """The components that may be drawn for this request."""
        chances = self.distribution.by_component
        return [self.blend.upstreams[name] for name, chance in chances.items() if chance > 0]

    @cached_property
    def first_draw(self) -> Draw:
        """The draw over the whole distribution, whether or not that component answered."""
        return selection.draw(self.distribution, self.uniform(0))


@dataclass
class Attempts:
    """The state of the search: the components that failed, and the choice that answered, if any.

    `timing` and `trace` record every step, `arrivals` records redrawn requests. `asked` is the
    component that was asked last.
    """

    timing: Timing
    trace: ResponseTrace
    arrivals: Arrivals
    failures: list[Failure] = field(default_factory=list)
    choice: Choice | None = None
    replica: str | None = None
    asked: str | None = None

    def __len__(self) -> int:
        return len(self.failures) + (self.choice is not None)


@asynccontextmanager
async def answered(
    session: aiohttp.ClientSession,
    inquiry: Inquiry,
    availability: Availability,
    attempts: Attempts,
) -> AsyncIterator[Answer]:
    """The first answer of a component; keeps `attempts` up to date.

    Raises:
        ApiError: no component answers: 503, or 429 when all are full.
        Complaint: a component refuses the request.
    """
    while choice := choose(
        inquiry.distribution, availability.unavailable, attempts.failures, inquiry.uniform
    ):
        upstream = inquiry.blend.upstreams[choice.component]
        if choice.component != inquiry.first_draw.component and not choice.neighbour:
            attempts.arrivals.count(choice.component)
        attempts.asked = upstream.id
        attempts.trace.ask(upstream.kind, upstream.id, upstream.base_url, choice.propensity)
        async with AsyncExitStack() as stack:
            try:
                answer = await _ask_while_there(
                    stack, session, inquiry, choice, attempts, availability
                )
            except Unanswered as exc:
                attempts.trace.fail(exc.reason)
                _log(upstream, exc)
                attempts.failures.append(_failure(upstream, choice, exc))
                if exc.reason not in ("full", "broken"):
                    availability.failed(upstream)
                continue
            availability.answered(upstream)
            _blame_the_broken(attempts, inquiry.blend, availability)
            attempts.choice, attempts.replica = choice, answer.replica
            yield answer
            return
    raise _nobody(attempts.failures, inquiry.blend)


def _log(upstream: Upstream, exc: Unanswered) -> None:
    """Tell the operator what a component said, where it is theirs to settle."""
    if exc.reason in ("refused", "broken"):
        keys = [upstream.key] if upstream.key else []
        said = complaints.without_secrets(exc.said, keys)
        logger.warning("component %s is %s: %s", upstream.id, exc.reason, said or "no word")


def _failure(upstream: Upstream, choice: Choice, exc: Unanswered) -> Failure:
    # A second wait for the whole budget, or a second try with the same key, cannot help.
    reason, has_others = exc.reason, upstream.max_replicas > 1
    repeatable = reason in ("unavailable", "broken") or (reason == "full" and has_others)
    return Failure(upstream.id, reason, repeatable, choice.propensity, exc.retry_after_s)


def _blame_the_broken(attempts: Attempts, blend: Blend, availability: Availability) -> None:
    """Count failures only once another component has answered: some requests break every engine."""
    for failure in attempts.failures:
        if failure.reason == "broken":
            availability.failed(blend.upstreams[failure.component])


async def _ask_while_there(
    stack: AsyncExitStack,
    session: aiohttp.ClientSession,
    inquiry: Inquiry,
    choice: Choice,
    attempts: Attempts,
    availability: Availability,
) -> Answer:
    """The answer of a component, if its health checks succeed until the answer begins.

    A process that hangs keeps its connections, and its budget for a first byte is minutes. An error
    that nobody expected fails this attempt, and not the response.
    """
    try:
        async with availability.unless_gone(inquiry.blend.upstreams[choice.component]):
            return await _ask(stack, session, inquiry, choice, attempts)
    except TimeoutError as exc:
        raise Unanswered("late") from exc
    except (Unanswered, ApiError):
        raise
    except Exception as exc:
        logger.error("component %s could not be asked", choice.component, exc_info=exc)
        raise Unanswered("broken", "an error of the router's own") from exc


async def _ask(
    stack: AsyncExitStack,
    session: aiohttp.ClientSession,
    inquiry: Inquiry,
    choice: Choice,
    attempts: Attempts,
) -> Answer:
    context = attempts.trace.headers() if inquiry.blend.upstreams[choice.component].is_ours else {}
    question = await _question(session, inquiry, choice, context, sure=False)
    attempts.timing.ask()
    try:
        return await stack.enter_async_context(ask(session, question))
    except Complaint as complaint:
        # The history was estimated to fit: now count its tokens.
        if complaint.code != CONTEXT_EXCEEDED:
            raise
        counted = await _question(session, inquiry, choice, context, sure=True)
        if counted.body == question.body:
            raise
    attempts.timing.ask()
    return await stack.enter_async_context(ask(session, counted))


async def _question(
    session: aiohttp.ClientSession,
    inquiry: Inquiry,
    choice: Choice,
    context: Mapping[str, str],
    sure: bool,
) -> Question:
    upstream = inquiry.blend.upstreams[choice.component]
    body = requests.component_body(
        inquiry.payload,
        upstream.model,
        upstream.sampling,
        FIELDS[inquiry.path],
        upstream.passthrough,
    )
    turn, api = inquiry.turn, inquiry.blend.config.api
    if (salt := cache_salt.salt(upstream, api, inquiry.key_name, turn.user)) is not None:
        body["cache_salt"] = salt
    if inquiry.path == CHAT:
        messages = await _window(session, upstream, body, sure)
        lawful = partial(legal_form.legal, messages, upstream.history)
        body["messages"] = await aside(inquiry.size_bytes, lawful)
    if "reasoning" not in upstream.capabilities:
        body.pop("reasoning_effort", None)
    body = DIALECTS[upstream.dialect].body(body, is_chat=inquiry.path == CHAT)
    conversation = turn.conversation
    return Question(
        upstream,
        inquiry.path,
        f"{conversation}-neighbour" if choice.neighbour else conversation,
        inquiry.response_id.partition("-")[2],
        await aside(inquiry.size_bytes, lambda: json.dumps(body).encode()),
        context,
        bool(body.get("stream")),
    )


async def _window(
    session: aiohttp.ClientSession, upstream: Upstream, body: requests.Payload, sure: bool
) -> list[dict[str, Any]]:
    """The shared history, cut to the room in the component's context."""
    history, messages = upstream.history, body["messages"]
    if upstream.context_tokens is None:
        return list(messages)
    room = upstream.context_tokens - requests.response_tokens(body)

    async def count(candidate: list[dict[str, Any]]) -> int:
        prompt = {"messages": legal_form.legal(candidate, history), "tools": body.get("tools")}
        return await count_tokens(session, upstream, prompt)

    return await window.fit(messages, room, history.block, count, sure)


async def count_tokens(
    session: aiohttp.ClientSession, upstream: Upstream, prompt: dict[str, Any]
) -> int:
    """The tokens of a prompt, counted by the component if it can count; otherwise an estimate."""
    if upstream.tokenize_url is None:
        return window.estimate(prompt["messages"])
    timeout = aiohttp.ClientTimeout(total=upstream.timeouts.connect_s)
    try:
        async with session.post(
            upstream.tokenize_url,
            json={"model": upstream.model, **prompt},
            headers=upstream.authorization(),
            timeout=timeout,
        ) as response:
            return int((await response.json())["count"])
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
        return window.estimate(prompt["messages"])


def _suspect() -> ApiError:
    """The error of a request on which every component failed: it may be what breaks them."""
    message = "Every component failed on this request, which may be the cause; change it."
    error = ApiError(502, message, "request_failed")
    error.headers = {"x-should-retry": "false"}  # OpenAI's clients would try twice more
    return error


def _nobody(failures: list[Failure], blend: Blend) -> ApiError:
    if failures and all(failure.reason == "full" for failure in failures):
        message = "All replicas are busy; try again in a moment."
        waits = [failure.retry_after_s or RETRY_AFTER_S["overloaded"] for failure in failures]
        return ApiError(429, message, "overloaded", retry_after_s=min(waits))
    if failures and all(failure.reason == "broken" for failure in failures):
        return _suspect()
    refused = all(failure.reason == "refused" for failure in failures)
    what = "refuses the router's key, or wants to be paid" if refused else "is available"
    who = "Every component" if refused else "No component"
    periods = [u.health.period_s for u in blend.upstreams.values()]
    message = f"{who} {what}; try again."
    return ApiError(503, message, "component_unavailable", retry_after_s=round(min(periods)) or 1)
