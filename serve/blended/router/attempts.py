"""From a request to a component's answer: whom to ask, with which history, until one answers."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import aiohttp

from blended.errors import ApiError
from blended.experiments.assignment import Assignment
from blended.router import cache_salt, requests, selection
from blended.router.arrivals import Arrivals
from blended.router.availability import Availability
from blended.router.blend import Blend, Upstream
from blended.router.body import aside
from blended.router.failover import Choice, Failure, choose
from blended.router.fields import CHAT_FIELDS, COMPLETION_FIELDS
from blended.router.history import legal_form, window
from blended.router.selection import Draw, SelectionDistribution
from blended.router.timing import Timing
from blended.router.turns import Turn
from blended.router.upstream import (
    CONTEXT_EXCEEDED,
    Answer,
    Complaint,
    Question,
    Reason,
    Unanswered,
    ask,
)
from blended.tracing import ResponseTrace

CHAT, COMPLETIONS = "/chat/completions", "/completions"
FIELDS = {CHAT: CHAT_FIELDS, COMPLETIONS: COMPLETION_FIELDS}


@dataclass(frozen=True)
class Inquiry:
    """A client's request, checked, with all that the choice of a component depends on.

    `nonce` makes the draw: a request of its own, or the same one again. `user` is the one that the
    client named, as the journal knows them, and `assignment` their arm if that decides about this
    request. `distribution` is the arm's or the blend's, or certain of the component that the client
    named. `request_id` is what the
    client, or the proxy in front, calls the request; `response_id` is what the client gets to know
    the response by. `prompt_tokens` are estimated from the request, whose body has `size_bytes`.
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
        """The draw over the whole distribution, whatever became of it."""
        return selection.draw(self.distribution, self.uniform(0))


@dataclass
class Attempts:
    """How the search for an answer goes: who failed, and the choice that answered, if one did.

    `timing` and `trace` are told of every step, `arrivals` of requests that one component is asked
    for another. `asked` is the component that was asked last.
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
    """The first answer that a component gives; `attempts` is kept up to date.

    Raises:
        ApiError: nobody answers: 503, or 429 when all are full.
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
                attempts.failures.append(_failure(upstream, choice, exc.reason))
                if exc.reason != "full":
                    availability.failed(upstream)
                continue
            availability.answered(upstream)
            attempts.choice, attempts.replica = choice, answer.replica
            yield answer
            return
    raise _nobody(attempts.failures, inquiry.blend)


def _failure(upstream: Upstream, choice: Choice, reason: Reason) -> Failure:
    # Waiting a whole budget again, or showing the same key again, cannot help.
    repeatable = reason == "unavailable" or (reason == "full" and upstream.max_replicas > 1)
    return Failure(upstream.id, reason, repeatable, choice.propensity)


async def _ask_while_there(
    stack: AsyncExitStack,
    session: aiohttp.ClientSession,
    inquiry: Inquiry,
    choice: Choice,
    attempts: Attempts,
    availability: Availability,
) -> Answer:
    """The answer of a component whose checks succeed until it has begun.

    A process that hangs keeps its connections; its budget for a first byte is minutes.
    """
    try:
        async with availability.unless_gone(inquiry.blend.upstreams[choice.component]):
            return await _ask(stack, session, inquiry, choice, attempts)
    except TimeoutError as exc:
        raise Unanswered("late") from exc


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
        # The history was taken to fit without being counted: count it.
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
    conversation = turn.conversation
    return Question(
        upstream,
        inquiry.path,
        f"{conversation}-neighbour" if choice.neighbour else conversation,
        inquiry.response_id.partition("-")[2],
        await aside(inquiry.size_bytes, lambda: json.dumps(body).encode()),
        context,
    )


async def _window(
    session: aiohttp.ClientSession, upstream: Upstream, body: requests.Payload, sure: bool
) -> list[dict[str, Any]]:
    """The shared history, within what the component's context leaves for it."""
    history, messages = upstream.history, body["messages"]
    if upstream.context_tokens is None:
        return list(messages)
    room = upstream.context_tokens - requests.response_tokens(body)

    async def count(candidate: list[dict[str, Any]]) -> int:
        prompt = {"messages": legal_form.legal(candidate, history), "tools": body.get("tools")}
        return await _count(session, upstream, prompt)

    return await window.fit(messages, room, history.block, count, sure)


async def _count(session: aiohttp.ClientSession, upstream: Upstream, prompt: dict[str, Any]) -> int:
    """The tokens of a prompt, counted by the component; estimated where it does not count."""
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


def _nobody(failures: list[Failure], blend: Blend) -> ApiError:
    if failures and all(failure.reason == "full" for failure in failures):
        message = "All replicas are busy; try again in a moment."
        return ApiError(429, message, "overloaded")
    refused = all(failure.reason == "refused" for failure in failures)
    what = "refuses the router's key" if refused else "is available"
    who = "Every component" if refused else "No component"
    periods = [u.health.period_s for u in blend.upstreams.values()]
    message = f"{who} {what}; try again."
    return ApiError(503, message, "component_unavailable", retry_after_s=round(min(periods)) or 1)
