"""Best of K: the drawn component gives several candidates, and the reward model chooses one.

One response stays one draw: all candidates are the component's own, generated for one prompt. The
client gets the chosen one alone, as if the component had given nothing else. Nothing is sent before
the choice, so that another component can still be asked. Without scores the first candidate is the
response.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from blended.config import BestOf
from blended.reward.transcript import transcript
from blended.router import candidates, requests, several
from blended.router.blend import Upstream
from blended.router.body import aside
from blended.router.candidates import Candidate, Judgement
from blended.router.inquiry import Inquiry
from blended.router.question import Change
from blended.router.scoring import NoScores, Scores, scores
from blended.router.upstream import Answer
from blended.router.usage import reported
from blended.tracing import ResponseTrace


@dataclass(frozen=True)
class Asked:
    """A request for candidates, and `ask`, which asks the component again, with another change."""

    session: aiohttp.ClientSession
    inquiry: Inquiry
    upstream: Upstream
    trace: ResponseTrace
    ask: Callable[[Change], Awaitable[Answer]]

    @property
    def is_stream(self) -> bool:
        """Whether the client asked for a stream."""
        return bool(self.inquiry.payload.get("stream"))


async def chosen(asked: Asked, best_of: BestOf, answer: Answer) -> tuple[Answer, Judgement]:
    """The answer with the best of the candidates in `answer`, and how it was chosen.

    Raises:
        Unanswered: the component does not go on with the candidate that was chosen early.
        Complaint: it refuses to.
    """
    assert answer.whole is not None, "candidates are asked for in one document"
    document = answer.whole[1]
    found = candidates.candidates(document)
    judged = await _judged(asked, found, reported(document.get("usage"), "completion_tokens"))
    best = found[judged.chosen]
    whole = candidates.response(document, best, judged.rejected_tokens)
    if best_of.early is None or not best.is_cut:
        return _answer(whole, answer, asked.is_stream), judged
    # Templates cut blanks at the end, which the component then writes again.
    begun = candidates.cut(whole, best.text.rstrip())
    rest = await _rest(asked, best_of.early, best.text.rstrip())
    if rest is None:
        return _answer(whole, answer, asked.is_stream), judged
    if rest.stream is not None:
        return replace(answer, whole=None, stream=candidates.spliced(begun, rest.stream)), judged
    assert rest.whole is not None, "an answer is a stream or whole"
    return _answer(candidates.continued(begun, rest.whole[1]), answer, False), judged


async def _judged(asked: Asked, found: Sequence[Candidate], generated: int | None) -> Judgement:
    place, given, reason = 0, None, None
    if len({candidate.text for candidate in found}) == 1:
        reason = "equal"
    else:
        try:
            given = await _scores(asked, found)
            place = candidates.best(given.values)
        except NoScores as exc:
            reason = exc.reason
    return Judgement(
        k=len(found),
        chosen=place,
        chosen_by="first" if given is None else "reward",
        reason=reason,
        scores=None if given is None else given.values,
        reward_version=None if given is None else given.version,
        rejected=tuple(c.text for i, c in enumerate(found) if i != place),
        rejected_tokens=candidates.rejected_tokens(found, place),
        generated=generated,
    )


async def _scores(asked: Asked, found: Sequence[Candidate]) -> Scores:
    inquiry, reward = asked.inquiry, asked.inquiry.blend.reward
    assert reward is not None, "without a reward model there is one candidate"
    messages = inquiry.payload["messages"]
    texts = await aside(inquiry.size_bytes, lambda: [transcript(messages, c.text) for c in found])
    with asked.trace.score(reward.base_url) as context:
        return await scores(asked.session, reward, texts, inquiry.turn.conversation, context)


async def _rest(asked: Asked, early: int, begun: str) -> Answer | None:
    """The component's answer that goes on with what has `begun`; None if it may not be longer."""
    limit = requests.token_limit(asked.inquiry.payload, asked.upstream.sampling)
    if limit and limit <= early:
        return None
    return await asked.ask(several.going_on(begun, early, limit))


def _answer(whole: dict[str, Any], answer: Answer, is_stream: bool) -> Answer:
    """One response in the form that the client asked for."""
    if is_stream:
        return replace(answer, whole=None, stream=_once(candidates.stream(whole)))
    return replace(answer, whole=(json.dumps(whole).encode(), whole))


async def _once(events: bytes) -> AsyncIterator[bytes]:
    yield events
