"""Asks components for an answer, each with the history in its form, until one answers."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import aiohttp

from blended.errors import ApiError
from blended.retry_after import RETRY_AFTER_S
from blended.router import best_of, complaints, several
from blended.router.arrivals import Arrivals
from blended.router.availability import Availability
from blended.router.blame import CONTEXT_EXCEEDED
from blended.router.blend import Blend, Upstream
from blended.router.candidates import Judgement
from blended.router.failover import Choice, Failure, choose
from blended.router.inquiry import Inquiry
from blended.router.question import Change, question
from blended.router.several import Search
from blended.router.timing import Timing
from blended.router.upstream import (
    Answer,
    Complaint,
    Unanswered,
    ask,
)
from blended.tracing import ResponseTrace

logger = logging.getLogger(__name__)


@dataclass
class Attempts:
    """The state of the search: the components that failed, and the choice that answered, if any.

    `timing` and `trace` record every step, `arrivals` records redrawn requests. `asked` is the
    component that was asked last. `search` is what candidates it was asked for, None in a blend
    without a reward model, and `judged` how one of them was chosen.
    """

    timing: Timing
    trace: ResponseTrace
    arrivals: Arrivals
    failures: list[Failure] = field(default_factory=list)
    choice: Choice | None = None
    replica: str | None = None
    asked: str | None = None
    search: Search | None = None
    judged: Judgement | None = None

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
        inquiry.distribution,
        availability.unavailable,
        attempts.failures,
        inquiry.uniform,
        inquiry.reserve,
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
                if exc.reason == "full":
                    availability.declined(upstream)
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
    return Failure(choice, reason, repeatable, exc.retry_after_s)


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
    upstream = inquiry.blend.upstreams[choice.component]
    context = attempts.trace.headers() if upstream.is_ours else {}
    if inquiry.blend.reward is None:
        return await _answer(stack, session, inquiry, choice, attempts, context)
    attempts.search, attempts.judged = several.search(inquiry, upstream), None
    if (wanted := attempts.search.best_of) is None:
        return await _answer(stack, session, inquiry, choice, attempts, context)
    again = partial(_answer, stack, session, inquiry, choice, attempts, context)
    answer = await again(several.beginnings(wanted, upstream))
    asked = best_of.Asked(session, inquiry, upstream, attempts.trace, again)
    asked_at = attempts.timing.asked
    answer, attempts.judged = await best_of.chosen(asked, wanted, answer)
    attempts.timing.asked = asked_at  # the router has waited ever since
    return answer


async def _answer(
    stack: AsyncExitStack,
    session: aiohttp.ClientSession,
    inquiry: Inquiry,
    choice: Choice,
    attempts: Attempts,
    context: Mapping[str, str],
    change: Change | None = None,
) -> Answer:
    asked = await question(session, inquiry, choice, context, sure=False, change=change)
    attempts.timing.ask()
    try:
        return await stack.enter_async_context(ask(session, asked))
    except Complaint as complaint:
        # The history was estimated to fit: now count its tokens.
        if complaint.code != CONTEXT_EXCEEDED:
            raise
        counted = await question(session, inquiry, choice, context, sure=True, change=change)
        if counted.body == asked.body:
            raise
    attempts.timing.ask()
    return await stack.enter_async_context(ask(session, counted))


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
