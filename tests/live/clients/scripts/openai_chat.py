"""OpenAI's client for Python, with chats."""

import json

from openai import OpenAI
from report import KEY, MODEL, SUNNY, TOOL, URL, Mood, report

client = OpenAI(base_url=URL, api_key=KEY, max_retries=0)
chats = client.chat.completions
TOOLS = [{"type": "function", "function": TOOL}]


def user(prompt):
    return {"role": "user", "content": prompt}


def plain(prompt):
    return chats.create(model=MODEL, messages=[user(prompt)]).choices[0].message.content


def stream(prompt):
    chunks = chats.create(model=MODEL, messages=[user(prompt)], stream=True)
    return [chunk.choices[0].delta.content for chunk in chunks]


def turns(prompt):
    said = chats.create(model=MODEL, messages=[user(prompt)]).choices[0].message
    then = chats.create(model=MODEL, messages=[user(prompt), said, user("And?")])
    return [said.content, then.choices[0].message.content]


def tools(prompt):
    messages = [user(prompt)]
    said = chats.create(model=MODEL, messages=messages, tools=TOOLS).choices[0].message
    call = said.tool_calls[0]
    messages += [said, {"role": "tool", "tool_call_id": call.id, "content": SUNNY}]
    text = chats.create(model=MODEL, messages=messages, tools=TOOLS).choices[0].message.content
    return {call.function.name: json.loads(call.function.arguments), "then": text}


def tool_stream(prompt):
    with chats.stream(model=MODEL, messages=[user(prompt)], tools=TOOLS) as events:
        call = events.get_final_completion().choices[0].message.tool_calls[0]
    return {call.function.name: json.loads(call.function.arguments)}


def structured(prompt):
    said = chats.parse(model=MODEL, messages=[user(prompt)], response_format=Mood)
    return said.choices[0].message.parsed.model_dump()


report(plain, stream, turns, tools, tool_stream, structured)
