"""Hypothesis strategies for histories of clients, and their rendering by templates."""

from functools import cache
from pathlib import Path
from typing import Any, cast

from hypothesis import strategies as st
from transformers import AutoTokenizer

from blended.config import History
from blended.demo import MODEL_IDS, model_path
from blended.router.history.content import Message

FIXTURES = Path(__file__).parent / "templates"

# Templates by name, with the settings that an operator of such a model would choose.
STRICT = {
    "gemma": History(system="fold", alternate=True, tools="text"),
    "llama2": History(alternate=True, tools="text"),
    "chatml": History(tools="text"),
    "mistral": History(),
}
SERVED = [*[(name, History()) for name in MODEL_IDS], *STRICT.items()]
SERVED += [("gemma", History(system="drop", alternate=True, reasoning=True))]
SERVED += [("chatml", History(system="fold", tools="text"))]


def user(content: Any) -> Message:
    return {"role": "user", "content": content}


def assistant(content: Any, **fields: Any) -> Message:
    return {"role": "assistant", "content": content, **fields}


def system(content: Any) -> Message:
    return {"role": "system", "content": content}


def tool(id_: Any, content: Any) -> Message:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def call(id_: Any, name: str = "weather", arguments: Any = '{"city": "Oslo"}') -> Message:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


words = st.sampled_from(["Hello", "é", "\n", " ", "<think>", "</think>", "<thi", "nk>", "[INST]"])
texts = st.one_of(st.lists(words, max_size=6).map("".join), st.text(max_size=12))
text_parts = st.fixed_dictionaries({"type": st.just("text"), "text": texts})
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
other_parts = st.sampled_from([IMAGE, {"type": "thinking", "thinking": "Hm."}])
parts = st.lists(st.one_of(text_parts, text_parts, other_parts), min_size=1, max_size=3)
contents = st.one_of(texts, texts, parts)
ids = st.sampled_from(["call_0", "call_1", "chatcmpl-tool-9f2"])
odd_values: st.SearchStrategy[Any] = st.sampled_from([None, 7, "text", [], ["x"], {"a": [1]}])
calls = st.one_of(ids.map(call), ids.map(call), odd_values)
leftovers = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_content": st.one_of(st.none(), texts),
        "reasoning": st.one_of(st.none(), texts),
        "refusal": st.one_of(st.none(), texts),
        "audio": st.sampled_from([None, {"id": "audio_1"}]),
        "function_call": st.sampled_from([None, {"name": "f", "arguments": "{}"}]),
        "name": texts,
    },
)


@st.composite
def exchanges(draw: st.DrawFn) -> list[Message]:
    """Tool calls with their results, from fully valid to fully invalid."""
    made = draw(st.lists(ids, min_size=1, max_size=3, unique=draw(st.booleans())))
    said = draw(st.one_of(st.none(), contents))
    answered = draw(st.one_of(st.just(made), st.permutations(made), st.lists(ids, max_size=3)))
    results = [tool(id_, draw(contents)) for id_ in answered]
    return [assistant(said, tool_calls=[call(id_) for id_ in made]), *results]


@st.composite
def assistants(draw: st.DrawFn) -> Message:
    message = assistant(draw(contents)) | draw(leftovers)
    if draw(st.integers(0, 3)) == 0:
        message["tool_calls"] = draw(st.one_of(odd_values, st.lists(calls, max_size=3)))
    if any(map(message.get, ("tool_calls", "refusal", "function_call"))) and draw(st.booleans()):
        message["content"] = None
    return message


singles = st.one_of(
    contents.filter(bool).map(user),
    contents.map(system),
    st.builds(lambda c: {"role": "developer", "content": c}, contents),
    assistants(),
    st.builds(tool, st.one_of(ids, odd_values), contents),
    st.builds(lambda c, n: {"role": "function", "name": n, "content": c}, contents, texts),
)
histories: st.SearchStrategy[list[Message]] = st.lists(
    st.one_of(singles.map(lambda message: [message]), exchanges()), min_size=1, max_size=7
).map(lambda groups: [message for group in groups for message in group])
component_settings = st.builds(
    History,
    system=st.sampled_from(["keep", "fold", "drop"]),
    alternate=st.booleans(),
    tools=st.sampled_from(["keep", "text"]),
    reasoning=st.booleans(),
)

spoken = st.sampled_from(["Hello, I am Robin.", "Noted.", "Warm as a small sun.", "é\n\nè"])


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Histories of well-behaved clients: turns with tools and thoughts, then a user message."""
    history = [system(draw(spoken))] if draw(st.booleans()) else []
    for number in range(draw(st.integers(1, 4))):
        history.append(user(draw(spoken)))
        if draw(st.booleans()):
            id_ = f"call_{number}"
            history += [assistant(None, tool_calls=[call(id_)]), tool(id_, draw(spoken))]
        thought = draw(st.sampled_from(["", "<think>Hm.</think>\n\n", "Hm.</think>"]))
        history.append(assistant(thought + draw(spoken)))
    return [*history, user(draw(spoken))]


@cache
def _tokenizer(model_id: str) -> Any:
    return AutoTokenizer.from_pretrained(model_path(model_id))


@cache
def _template(name: str) -> str:
    return (FIXTURES / f"{name}.jinja").read_text()


def render(name: str, messages: list[Message], ask: bool = True) -> str:
    """The prompt for a demo model or of a fixture template; raises the template's exceptions."""
    strict = name not in MODEL_IDS
    text = _tokenizer(MODEL_IDS[0] if strict else name).apply_chat_template(
        messages,
        chat_template=_template(name) if strict else None,
        tokenize=False,
        add_generation_prompt=ask,
    )
    return cast(str, text)


def said(content: Any) -> list[str]:
    """The texts in a message's content."""
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or [] if part["type"] == "text"]


def read(content: Any, between: str) -> str:
    """A content as engines read it, with `between` between its parts."""
    if isinstance(content, list):
        return between.join(part.get("text", str(part)) for part in content)
    return content or ""
