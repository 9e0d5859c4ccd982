"""A response's cost in tokens: the most before it is generated, and the final. Pure functions."""

import json
from typing import Any

from blended.router import several
from blended.router.attempts import Attempts
from blended.router.history import window
from blended.router.inquiry import CHAT, Inquiry
from blended.router.requests import Payload, most_tokens, prompts
from blended.router.response import Ending
from blended.router.usage import reported


def prompt_tokens(path: str, payload: Payload) -> int:
    """About how many tokens a request has, before it is cut to a component's context."""
    if path == CHAT:
        tools = payload.get("tools")
        defined = [{"content": json.dumps(tools)}] if tools else []
        return window.estimate([*payload["messages"], *defined])
    return sum(map(_tokens, prompts(payload)))


def _tokens(prompt: Any) -> int:
    return window.estimate([{"content": prompt}]) if isinstance(prompt, str) else len(prompt)


def at_most(inquiry: Inquiry) -> int:
    """The most tokens that any component that may be drawn can spend on a request."""
    return max(1, prompt_at_most(inquiry) + completion_at_most(inquiry))


def prompt_at_most(inquiry: Inquiry) -> int:
    """The request's tokens, at most as many as the largest context holds."""
    contexts = [upstream.context_tokens for upstream in inquiry.possible]
    bounds = [context for context in contexts if context is not None]
    asked = inquiry.prompt_tokens
    return min(asked, max(bounds)) if bounds and len(bounds) == len(contexts) else asked


def completion_at_most(inquiry: Inquiry) -> int:
    """The tokens of the longest response that any component may give, over all choices.

    They are those of all candidates, where a component gives several.
    """
    payload = inquiry.payload
    return max(
        most_tokens(payload, u.sampling) * several.search(inquiry, u).k for u in inquiry.possible
    )


def spent(ending: Ending) -> int:
    """A response's cost, as its component reports it.

    A stream that was cut costs the prompt and at least the tokens that passed, and those of all
    candidates. A response in one document, or of candidates, whose client left before it was there
    costs the most it could, because its progress is unknown. A request that no component answered
    costs nothing.
    """
    inquiry, attempts = ending.inquiry, ending.attempts
    if (total := reported(ending.passage.usage, "total_tokens")) is not None:
        return total
    passed = ending.passage.events + ((attempts.judged and attempts.judged.generated) or 0)
    if ending.state == "cancelled" and attempts.asked is not None:
        is_document = not inquiry.payload.get("stream") or _is_searching(attempts)
        return prompt_at_most(inquiry) + (completion_at_most(inquiry) if is_document else passed)
    return prompt_at_most(inquiry) + passed if attempts.choice is not None else 0


def _is_searching(attempts: Attempts) -> bool:
    """Whether candidates are being generated, or judged."""
    search = attempts.search
    return search is not None and search.k > 1 and attempts.judged is None
