"""LiteLLM's library, as a client of an OpenAI-compatible API."""

import json

import litellm
from report import KEY, MODEL, SUNNY, TOOL, URL, Mood, report

TOOLS = [{"type": "function", "function": TOOL}]


def ask(messages, **options):
    place = {"model": f"openai/{MODEL}", "api_base": URL, "api_key": KEY, "num_retries": 0}
    return litellm.completion(**place, messages=messages, **options)


def user(prompt):
    return {"role": "user", "content": prompt}


def plain(prompt):
    return ask([user(prompt)]).choices[0].message.content


def stream(prompt):
    chunks = ask([user(prompt)], stream=True)
    return [chunk.choices[0].delta.content or "" for chunk in chunks]


def turns(prompt):
    said = ask([user(prompt)]).choices[0].message
    then = ask([user(prompt), said, user("And?")])
    return [said.content, then.choices[0].message.content]


def tools(prompt):
    messages = [user(prompt)]
    said = ask(messages, tools=TOOLS).choices[0].message
    call = said.tool_calls[0]
    messages += [said, {"role": "tool", "tool_call_id": call.id, "content": SUNNY}]
    text = ask(messages, tools=TOOLS).choices[0].message.content
    return {call.function.name: json.loads(call.function.arguments), "then": text}


def tool_stream(prompt):
    whole = litellm.stream_chunk_builder(list(ask([user(prompt)], tools=TOOLS, stream=True)))
    call = whole.choices[0].message.tool_calls[0]
    return {call.function.name: json.loads(call.function.arguments)}


def structured(prompt):
    return json.loads(ask([user(prompt)], response_format=Mood).choices[0].message.content)


report(plain, stream, turns, tools, tool_stream, structured)
