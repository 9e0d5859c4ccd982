"""Whether a response has several candidates, and the requests for them. Pure functions.

What a client asks for that candidates cannot give is answered by a single one.
"""

from dataclasses import dataclass
from typing import Literal

from blended.config import BestOf
from blended.router import requests
from blended.router.blend import Upstream
from blended.router.inquiry import CHAT, Inquiry
from blended.router.question import Change

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


def beginnings(best_of: BestOf, upstream: Upstream) -> Change:
    """The change of a component's request that makes it one for candidates, or their beginnings."""

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


def going_on(begun: str, early: int, limit: int) -> Change:
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
