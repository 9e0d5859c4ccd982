"""What a response costs in tokens: at most, before it is there, and in the end. Pure functions."""

import json
from typing import Any

from blended.router.attempts import CHAT, Inquiry
from blended.router.history import window
from blended.router.requests import Payload, most_tokens, prompts
from blended.router.response import Ending


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
    """What the costliest component that may be drawn can spend on a request."""
    return max(1, prompt_at_most(inquiry) + completion_at_most(inquiry))


def prompt_at_most(inquiry: Inquiry) -> int:
    """The request's tokens, of which components get no more than their context holds."""
    contexts = [upstream.context_tokens for upstream in inquiry.possible()]
    bounds = [context for context in contexts if context is not None]
    asked = inquiry.prompt_tokens
    return min(asked, max(bounds)) if bounds and len(bounds) == len(contexts) else asked


def completion_at_most(inquiry: Inquiry) -> int:
    """The longest response that any of the components may give, all of its choices together."""
    return max(most_tokens(inquiry.payload, u.sampling) for u in inquiry.possible())


def spent(ending: Ending) -> int:
    """What a response did cost, as its component reports it.

    Of a stream that was cut, the prompt and at least what passed; of another response whose client
    left, all that it might have cost, because nobody knows how far it was. What no component
    answered costs nothing.
    """
    inquiry, attempts = ending.inquiry, ending.attempts
    total = (ending.passage.usage or {}).get("total_tokens")
    if isinstance(total, int):
        return total
    if ending.state == "cancelled" and attempts.asked is not None:
        is_stream = bool(inquiry.payload.get("stream"))
        passed = ending.passage.events if is_stream else completion_at_most(inquiry)
        return prompt_at_most(inquiry) + passed
    return prompt_at_most(inquiry) + ending.passage.events if attempts.choice is not None else 0
