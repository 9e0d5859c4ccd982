"""Counts the tokens of a request that no component answers."""

import asyncio

import aiohttp

from blended.router.blend import Upstream
from blended.router.history import legal_form
from blended.router.inquiry import Inquiry
from blended.router.question import count_tokens


async def counted(session: aiohttp.ClientSession, inquiry: Inquiry) -> int:
    """The tokens of a chat's whole history and tools.

    Every component that may be drawn counts them with its own chat template, and the largest count
    is the answer, because any of them may get the request. Where no component can count, the answer
    is the router's estimate, which is too high for most vocabularies.
    """
    counting = [upstream for upstream in inquiry.possible if upstream.tokenize_url is not None]
    if not counting:
        return inquiry.prompt_tokens
    return max(await asyncio.gather(*(_count(session, inquiry, one) for one in counting)))


async def _count(session: aiohttp.ClientSession, inquiry: Inquiry, upstream: Upstream) -> int:
    messages = legal_form.legal(inquiry.payload["messages"], upstream.history)
    prompt = {"messages": messages, "tools": inquiry.payload.get("tools")}
    return await count_tokens(session, upstream, prompt)
