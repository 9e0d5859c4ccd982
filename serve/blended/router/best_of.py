"""Best of K: the drawn component gives several candidates, and the reward model chooses one.

One response stays one draw: all candidates are the component's own, generated for one prompt. The
client gets the chosen one alone, as if the component had given nothing else. Nothing is sent before
the choice, so that another component can still be asked. Without scores the first candidate is the
response. What a client asks for that candidates cannot give is answered by a single one.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import aiohttp

from blended.config import BestOf
from blended.reward.transcript import transcript
from blended.router import candidates, requests
from blended.router.blend import Upstream
from blended.router.body import aside
from blended.router.candidates import Candidate, Judgement
from blended.router.inquiry import CHAT, Inquiry
from blended.router.question import Change
from blended.router.scoring import NoScores, Scores, scores
from blended.router.upstream import Answer
from blended.router.usage import reported
from blended.tracing import ResponseTrace

# With it vLLM tells the tokens of each candidate.
_TOKEN_IDS = "return_token_ids"
# Why a response has a single candidate although its component has several: the field of the
# request, or the endpoint.
Alone = Literal[
    "completions",
    "n",
    "logprobs",
    "tools",
    "return_token_ids",
    "temperature",
    "continue_final_message",
    "response_format",
]


@dataclass(frozen=True)
class Search:
    """How many candidates a response has; `alone` is why it has one where it could have several."""

    best_of: BestOf | None
    alone: Alone | None = None

    @property
    def k(self) -> int:
        """The number of candidates."""
        return 1 if self.best_of is None else self.best_of.k


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


def search(inquiry: Inquiry, upstream: Upstream) -> Search:
    """The candidates of a component's response to a request."""
    model, assignment = inquiry.payload.get("model"), inquiry.assignment
    found = inquiry.blend.best_of(upstream.id, model, assignment)
    if found is None:
        return Search(None)
    alone = _alone(inquiry, upstream, found)
    return Search(None, alone) if alone else Search(found)


def _alone(inquiry: Inquiry, upstream: Upstream, best_of: BestOf) -> Alone | None:
    payload, sampling = inquiry.payload, upstream.sampling
    if inquiry.path != CHAT:
        return "completions"
    if (payload.get("n") or 1) > 1:
        return "n"
    if payload.get("logprobs") or payload.get("top_logprobs"):
        return "logprobs"
    if payload.get("tools"):
        return "tools"
    if payload.get(_TOKEN_IDS):
        return "return_token_ids"
    # Then all candidates are equal, and vLLM generates no more than one.
    greedy = requests.bounded(payload, "temperature", sampling) == 0
    if greedy or requests.bounded(payload, "top_k", sampling) == 1:
        return "temperature"
    if best_of.early is not None:
        return _uncuttable(payload)
    return None


def _uncuttable(payload: requests.Payload) -> Alone | None:
    """What a response cannot have whose second part is asked for by itself."""
    if payload.get("continue_final_message"):
        return "continue_final_message"
    form = payload.get("response_format") or {}
    is_formed = payload.get("structured_outputs") or form.get("type", "text") != "text"
    return "response_format" if is_formed else None


def several(best_of: BestOf, upstream: Upstream) -> Change:
    """The change of a component's request that makes it one for candidates."""

    def changed(body: requests.Payload) -> requests.Payload:
        found = {k: v for k, v in body.items() if k not in ("stream", "stream_options")}
        found["n"] = best_of.k
        if upstream.dialect == "vllm":  # it counts the tokens of all candidates together only
            found[_TOKEN_IDS] = True
        if best_of.early is not None:
            found |= _limited(body, best_of.early)
        return found

    return changed


def _limited(body: requests.Payload, tokens: int) -> requests.Payload:
    limit = requests.response_tokens(body)
    found = {requests.limit_name(body): min(tokens, limit or tokens)}
    if (least := body.get("min_tokens")) is not None:
        found["min_tokens"] = min(least, tokens)
    return found


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
    return await asked.ask(_going_on(begun, early, limit))


def _going_on(begun: str, early: int, limit: int) -> Change:
    """The change of a component's request that makes it one for the rest of a response."""

    def changed(body: requests.Payload) -> requests.Payload:
        found = dict(body)
        if limit:
            found[requests.limit_name(body)] = limit - early
        if (least := body.get("min_tokens")) is not None:
            found["min_tokens"] = max(0, least - early)
        if begun:  # a template may have no way to go on with nothing
            spoken = {"role": "assistant", "content": begun}
            found["messages"] = [*body["messages"], spoken]
            found |= {"continue_final_message": True, "add_generation_prompt": False}
        return found

    return changed


def _answer(whole: dict[str, Any], answer: Answer, is_stream: bool) -> Answer:
    """One response in the form that the client asked for."""
    if is_stream:
        return replace(answer, whole=None, stream=_once(candidates.stream(whole)))
    return replace(answer, whole=(json.dumps(whole).encode(), whole))


async def _once(events: bytes) -> AsyncIterator[bytes]:
    yield events
