"""pydantic-ai's agents, with the model that uses OpenAI's Responses API."""

from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from report import KEY, MODEL, SUNNY, URL, Mood, report

model = OpenAIResponsesModel(MODEL, provider=OpenAIProvider(base_url=URL, api_key=KEY))
called = []


def weather(place: str, days: int) -> str:
    """The weather of a place."""
    called.append({"place": place, "days": days})
    return SUNNY


def plain(prompt):
    return Agent(model).run_sync(prompt).output


def stream(prompt):
    run = Agent(model).run_stream_sync(prompt)
    return list(run.stream_text(delta=True, debounce_by=None))


def turns(prompt):
    said = Agent(model).run_sync(prompt)
    then = Agent(model).run_sync("And?", message_history=said.all_messages())
    return [said.output, then.output]


def tools(prompt):
    text = Agent(model, tools=[weather]).run_sync(prompt).output
    return {"weather": called.pop(), "then": text}


def tool_stream(prompt):
    text = Agent(model, tools=[weather]).run_stream_sync(prompt).get_output()
    return {"weather": called.pop(), "then": text}


def structured(prompt):
    return Agent(model, output_type=NativeOutput(Mood)).run_sync(prompt).output.model_dump()


report(plain, stream, turns, tools, tool_stream, structured)
