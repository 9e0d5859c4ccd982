"""OpenAI's client for Python, with the Responses API."""

import json

from openai import OpenAI
from report import KEY, MODEL, SUNNY, TOOL, URL, Mood, report

client = OpenAI(base_url=URL, api_key=KEY, max_retries=0)
TOOLS = [{"type": "function", **TOOL}]


def plain(prompt):
    return client.responses.create(model=MODEL, input=prompt).output_text


def stream(prompt):
    events = client.responses.create(model=MODEL, input=prompt, stream=True)
    return [event.delta for event in events if event.type == "response.output_text.delta"]


def turns(prompt):
    said = client.responses.create(model=MODEL, input=prompt)
    items = [item.model_dump(exclude_none=True) for item in said.output]
    items = [{"role": "user", "content": prompt}, *items, {"role": "user", "content": "And?"}]
    return [said.output_text, client.responses.create(model=MODEL, input=items).output_text]


def tools(prompt):
    items = [{"role": "user", "content": prompt}]
    call = client.responses.create(model=MODEL, input=items, tools=TOOLS).output[0]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": SUNNY}
    items += [call.model_dump(exclude_none=True), result]
    text = client.responses.create(model=MODEL, input=items, tools=TOOLS).output_text
    return {call.name: json.loads(call.arguments), "then": text}


def tool_stream(prompt):
    with client.responses.stream(model=MODEL, input=prompt, tools=TOOLS) as events:
        call = events.get_final_response().output[0]
    return {call.name: json.loads(call.arguments)}


def structured(prompt):
    said = client.responses.parse(model=MODEL, input=prompt, text_format=Mood)
    return said.output_parsed.model_dump()


report(plain, stream, turns, tools, tool_stream, structured)
