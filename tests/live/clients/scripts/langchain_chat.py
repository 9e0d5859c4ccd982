"""LangChain's model for OpenAI's API."""

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from report import KEY, MODEL, SUNNY, URL, Mood, report

model = ChatOpenAI(base_url=URL, api_key=KEY, model=MODEL, max_retries=0)


@tool
def weather(place: str, days: int) -> str:
    """The weather of a place."""
    return SUNNY


def plain(prompt):
    return model.invoke(prompt).content


def stream(prompt):
    return [chunk.content for chunk in model.stream(prompt)]


def turns(prompt):
    said = model.invoke(prompt)
    then = model.invoke([HumanMessage(prompt), said, HumanMessage("And?")])
    return [said.content, then.content]


def tools(prompt):
    able = model.bind_tools([weather])
    said = able.invoke(prompt)
    call = said.tool_calls[0]
    result = ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])
    then = able.invoke([HumanMessage(prompt), said, result])
    return {call["name"]: call["args"], "then": then.content}


def tool_stream(prompt):
    chunks = list(model.bind_tools([weather]).stream(prompt))
    whole = sum(chunks[1:], start=chunks[0])
    return {call["name"]: call["args"] for call in whole.tool_calls}


def structured(prompt):
    return model.with_structured_output(Mood).invoke(prompt).model_dump()


report(plain, stream, turns, tools, tool_stream, structured)
