"""llm, with the blend among its OpenAI-compatible models."""

import json
import os
from pathlib import Path

import llm
from report import KEY, MODEL, SUNNY, URL, Mood, report

entry = {"model_id": MODEL, "model_name": MODEL, "api_base": URL, "api_key_name": "blend"}
entry |= {"supports_tools": True, "supports_schema": True}
(Path(os.environ["LLM_USER_PATH"]) / "extra-openai-models.yaml").write_text(json.dumps([entry]))

model = llm.get_model(MODEL)
model.key = KEY
called = []


def weather(place: str, days: int) -> str:
    """The weather of a place."""
    called.append({"place": place, "days": days})
    return SUNNY


def plain(prompt):
    return model.prompt(prompt, stream=False).text()


def stream(prompt):
    return list(model.prompt(prompt))


def turns(prompt):
    conversation = model.conversation()
    return [conversation.prompt(text, stream=False).text() for text in (prompt, "And?")]


def tools(prompt):
    text = model.chain(prompt, tools=[weather], stream=False).text()
    return {"weather": called.pop(), "then": text}


def tool_stream(prompt):
    text = "".join(model.chain(prompt, tools=[weather]))
    return {"weather": called.pop(), "then": text}


def structured(prompt):
    return json.loads(model.prompt(prompt, schema=Mood, stream=False).text())


report(plain, stream, turns, tools, tool_stream, structured)
