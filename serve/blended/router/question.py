"""From a client's request to that for one component: its history, window, fields and dialect."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp

from blended.internal import LOWEST_PRIORITY
from blended.router import cache_salt, requests
from blended.router.blend import Upstream
from blended.router.body import aside
from blended.router.failover import Choice
from blended.router.history import legal_form, window
from blended.router.inquiry import CHAT, FIELDS, Inquiry
from blended.router.remote_dialects import DIALECTS
from blended.router.upstream import Question

# Changes the body of a component's request, in the words of vLLM.
Change = Callable[[requests.Payload], requests.Payload]

# What a response may take of a context where nothing limits it: at most so many tokens, and half.
_UNLIMITED_TOKENS, _UNLIMITED_SHARE = 512, 0.5
# The fields on which a prompt depends.
_OF_PROMPT = (
    "model",
    "messages",
    "tools",
    "documents",
    "add_special_tokens",
    "chat_template",
    "chat_template_kwargs",
    "media_io_kwargs",
    "mm_processor_kwargs",
    "reasoning_effort",
    "cache_salt",
)
# In place of what the user will say: a template may write the last response in another way than
# those before it, and an API may refuse a history that ends with one.
_UNKNOWN = {"role": "user", "content": "."}


async def question(
    session: aiohttp.ClientSession,
    inquiry: Inquiry,
    choice: Choice,
    context: Mapping[str, str],
    sure: bool,
    change: Change | None = None,
) -> Question:
    """The request to the component that was chosen, with the `change` of its body.

    Unless `sure`, a history that is estimated to fit is not counted.
    """
    upstream = inquiry.blend.upstreams[choice.component]
    body = await _body(session, inquiry, upstream, sure)
    if change is not None:
        body = change(body)
    conversation = inquiry.turn.conversation
    named = f"{conversation}-neighbour" if choice.neighbour else conversation
    return await _posted(inquiry, upstream, body, named, context)


async def reading(
    session: aiohttp.ClientSession,
    inquiry: Inquiry,
    component: str,
    said: str,
    context: Mapping[str, str],
) -> Question:
    """The request with which a component reads a history that ends with the response `said`.

    Its prompt is that of the next turn up to what the user says then. The component has to generate
    something: it generates as little as its bounds allow, after the requests of others.
    """
    upstream = inquiry.blend.upstreams[component]
    spoken = {"role": "assistant", "content": said}
    messages = [*inquiry.payload["messages"], spoken, _UNKNOWN]
    heard = replace(inquiry, payload=inquiry.payload | {"messages": messages})
    whole = await _body(session, heard, upstream, sure=False)
    body = requests.component_body({"max_tokens": 1}, upstream.model, upstream.sampling)
    body |= {name: value for name, value in whole.items() if name in _OF_PROMPT}
    if whole.get("tool_choice") == "none":  # an engine without a parser of calls needs it
        body["tool_choice"] = "none"
    if upstream.dialect == "vllm":
        body["add_generation_prompt"] = False
    if upstream.takes_priority:
        body["priority"] = LOWEST_PRIORITY
    return await _posted(heard, upstream, body, inquiry.turn.conversation, context)


async def _body(
    session: aiohttp.ClientSession, inquiry: Inquiry, upstream: Upstream, sure: bool
) -> requests.Payload:
    """The body for a component, in the words of vLLM."""
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
    return body


async def _posted(
    inquiry: Inquiry,
    upstream: Upstream,
    body: requests.Payload,
    session: str,
    context: Mapping[str, str],
) -> Question:
    if upstream.dialect != "vllm":
        body = DIALECTS[upstream.dialect].body(body, is_chat=inquiry.path == CHAT)
    return Question(
        upstream,
        inquiry.path,
        session,
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
    room = _room(upstream.context_tokens, requests.response_tokens(body))

    async def count(candidate: list[dict[str, Any]]) -> int:
        prompt = {"messages": legal_form.legal(candidate, history), "tools": body.get("tools")}
        return await count_tokens(session, upstream, prompt)

    return await window.fit(messages, room, history.block, count, sure)


def _room(context_tokens: int, response_tokens: int) -> int:
    """The tokens that a history may have; a response without a limit (0) needs room as well."""
    unlimited = min(_UNLIMITED_TOKENS, int(_UNLIMITED_SHARE * context_tokens))
    return context_tokens - (response_tokens or unlimited)


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
