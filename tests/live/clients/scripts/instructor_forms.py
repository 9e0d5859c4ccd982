"""instructor, which fills forms by a call of a tool."""

import instructor
from report import KEY, MODEL, URL, Mood, report

client = instructor.from_provider(f"openai/{MODEL}", base_url=URL, api_key=KEY)


def ask(prompt):
    return {"response_model": Mood, "messages": [{"role": "user", "content": prompt}]}


def tools(prompt):
    return {"Mood": client.chat.completions.create(**ask(prompt), max_retries=0).model_dump()}


def tool_stream(prompt):
    return {"Mood": list(client.chat.completions.create_partial(**ask(prompt)))[-1].model_dump()}


report(tools, tool_stream)
