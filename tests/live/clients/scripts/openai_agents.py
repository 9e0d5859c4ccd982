"""OpenAI's Agents SDK, which uses the Responses API by default."""

import asyncio

from agents import Agent, Runner, function_tool, set_default_openai_client
from openai import AsyncOpenAI
from report import KEY, MODEL, SUNNY, URL, Mood, report

called = []


@function_tool
def weather(place: str, days: int) -> str:
    """The weather of a place."""
    called.append({"place": place, "days": days})
    return SUNNY


def agent(**options):
    # Each run has an event loop of its own, to which the connections belong.
    set_default_openai_client(AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0))
    return Agent(name="Guide", model=MODEL, instructions="Be brief.", **options)


def plain(prompt):
    return Runner.run_sync(agent(), prompt).final_output


def stream(prompt):
    _, pieces = asyncio.run(_streamed(agent(), prompt))
    return pieces


def turns(prompt):
    said = Runner.run_sync(agent(), prompt)
    items = [*said.to_input_list(), {"role": "user", "content": "And?"}]
    return [said.final_output, Runner.run_sync(agent(), items).final_output]


def tools(prompt):
    text = Runner.run_sync(agent(tools=[weather]), prompt).final_output
    return {"weather": called.pop(), "then": text}


def tool_stream(prompt):
    run, _ = asyncio.run(_streamed(agent(tools=[weather]), prompt))
    return {"weather": called.pop(), "then": run.final_output}


def structured(prompt):
    return Runner.run_sync(agent(output_type=Mood), prompt).final_output.model_dump()


async def _streamed(guide, prompt):
    run, pieces = Runner.run_streamed(guide, prompt), []
    async for event in run.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            pieces.append(event.data.delta)
    return run, pieces


report(plain, stream, turns, tools, tool_stream, structured)
