"""Anthropic's client for Python."""

from anthropic import Anthropic
from report import ABOUT, HOST, KEY, MODEL, PARAMETERS, SUNNY, Mood, report

client = Anthropic(base_url=HOST, api_key=KEY, max_retries=0)
TOOLS = [{"name": "weather", "description": ABOUT, "input_schema": PARAMETERS}]
ASK = {"model": MODEL, "max_tokens": 200}


def user(content):
    return {"role": "user", "content": content}


def plain(prompt):
    return client.messages.create(**ASK, messages=[user(prompt)]).content[0].text


def stream(prompt):
    with client.messages.stream(**ASK, messages=[user(prompt)]) as events:
        return list(events.text_stream)


def turns(prompt):
    said = client.messages.create(**ASK, messages=[user(prompt)])
    messages = [user(prompt), {"role": "assistant", "content": said.content}, user("And?")]
    then = client.messages.create(**ASK, messages=messages)
    return [said.content[0].text, then.content[0].text]


def tools(prompt):
    messages = [user(prompt)]
    said = client.messages.create(**ASK, messages=messages, tools=TOOLS)
    call = said.content[0]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": SUNNY}
    messages += [{"role": "assistant", "content": said.content}, user([result])]
    text = client.messages.create(**ASK, messages=messages, tools=TOOLS).content[0].text
    return {call.name: call.input, "then": text}


def tool_stream(prompt):
    with client.messages.stream(**ASK, messages=[user(prompt)], tools=TOOLS) as events:
        call = events.get_final_message().content[0]
    return {call.name: call.input}


def structured(prompt):
    said = client.messages.parse(**ASK, messages=[user(prompt)], output_format=Mood)
    return said.parsed_output.model_dump()


report(plain, stream, turns, tools, tool_stream, structured)
