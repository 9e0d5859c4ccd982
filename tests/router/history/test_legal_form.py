"""Legal history: every component's template renders the legal form of any client's history."""

import copy
import json

import pytest
from hypothesis import assume, given, settings

from blended.config import History
from blended.router.history.content import Message
from blended.router.history.legal_form import PADDING, legal
from blended.router.requests import check_chat
from tests.router.history.histories import (
    IMAGE,
    SERVED,
    STRICT,
    assistant,
    call,
    component_settings,
    conversations,
    histories,
    read,
    render,
    said,
    system,
    tool,
    user,
)

PLAIN: list[Message] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hello!", "name": "robin"},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
]

seeded = settings(derandomize=True, deadline=None, max_examples=60)


@pytest.mark.parametrize(("name", "history"), SERVED)
@seeded
@given(messages=histories)
def test_every_accepted_history_is_rendered(
    name: str, history: History, messages: list[Message]
) -> None:
    """No template raises, and the last user message is in the prompt with its whole text."""
    check_chat({"messages": messages})

    prompt = render(name, legal(messages, history))

    asked = [message for message in messages if message["role"] == "user"]
    for text in said(asked[-1]["content"]) if asked else []:
        assert text.strip() in prompt


@seeded
@given(messages=histories, history=component_settings)
def test_messages_stay_untouched(messages: list[Message], history: History) -> None:
    """Neither the list nor any message in it changes, and the result can be sent as JSON."""
    before = copy.deepcopy(messages)

    result = legal(messages, history)

    assert messages == before
    assert result
    assert json.loads(json.dumps(result)) == result


@seeded
@given(messages=histories, history=component_settings)
def test_alternation_leaves_two_roles_in_turn(messages: list[Message], history: History) -> None:
    """One system message at most, first; then user and assistant in turn, beginning with user."""
    roles = [m["role"] for m in legal(messages, history.model_copy(update={"alternate": True}))]

    turns = roles[1:] if roles[0] == "system" else roles
    assert turns == ["user" if at % 2 == 0 else "assistant" for at in range(len(turns))]
    assert turns
    assert roles[0] == "user" or history.system == "keep"


@settings(seeded, max_examples=200)
@given(messages=histories, more=histories, history=component_settings)
def test_appending_keeps_all_but_the_last_message(
    messages: list[Message], more: list[Message], history: History
) -> None:
    """The last message at most grows, unless it was empty, open tool calls or padding."""
    before = legal(messages, history)
    assume(before[-1].get("content") != PADDING)
    assume(before[-1]["role"] != "assistant" or any(t.strip() for t in said(before[-1]["content"])))
    assume(not _calls_are_open(messages))

    after = legal(messages + more, history)

    *settled, last = before
    assert after[: len(settled)] == settled
    assert after[len(settled)]["role"] == last["role"]
    for between in ("", "\n"):
        grown = read(after[len(settled)]["content"], between)
        assert grown.startswith(read(last["content"], between))
    if not history.alternate and history.system != "fold":
        assert after[: len(before)] == before


def _calls_are_open(messages: list[Message]) -> bool:
    """Whether results of tool calls may still follow the end of the history."""
    return any(
        message.get("tool_calls") and len(messages) - index <= _number_of_calls(message)
        for index, message in enumerate(messages)
    )


def _number_of_calls(message: Message) -> int:
    made = message["tool_calls"]
    return len(made) if isinstance(made, list) else 1


@pytest.mark.parametrize(("name", "history"), SERVED)
@settings(derandomize=True, deadline=None, max_examples=15)
@given(messages=conversations(), more=conversations())
def test_a_turn_more_keeps_the_rendered_prompt(
    name: str, history: History, messages: list[Message], more: list[Message]
) -> None:
    """The text that a component has seen, up to its generation prompt, begins the next prompt."""
    reply = assistant("Then soup.")
    turns = [message for message in more if message["role"] != "system"]

    seen = render(name, legal(messages, history), ask=False)

    assert render(name, legal([*messages, reply, *turns], history)).startswith(seen)


@pytest.mark.parametrize("tools", ["keep", "text"])
def test_a_plain_history_comes_back_equal(tools: str) -> None:
    """Messages that every model could have written stay the same."""
    assert legal(PLAIN, History.model_validate({"tools": tools})) == PLAIN


def test_strict_templates_refuse_what_was_not_made_legal() -> None:
    """The fixtures are as strict as they claim, so the tests above are meaningful."""
    refused = {
        "gemma": [system("Be kind."), user("Hello!")],
        "llama2": [user("Hello!"), user("Hello?")],
        "chatml": [user("Hello!"), tool("call_0", "Sun.")],
        "mistral": [user("Hello!"), tool("call_0", "Sun.")],
    }

    for name, messages in refused.items():
        with pytest.raises(Exception, match=r"not supported|must alternate|Unknown role|no call"):
            render(name, messages)
        assert render(name, legal(messages, STRICT[name]))


def test_folded_system_text_stands_before_the_user_message() -> None:
    """A blank line separates them; late system messages fold too, or become user messages."""
    fold = History(system="fold")
    developer = {"role": "developer", "content": "Be brief."}

    assert legal([system("Be kind."), developer, user("Hello!")], fold) == [
        user("Be kind.\n\nBe brief.\n\nHello!")
    ]
    assert legal([user("Hello!"), assistant("Hi."), system("Be brief.")], fold) == [
        user("Hello!"),
        assistant("Hi."),
        user("Be brief."),
    ]
    assert legal([system("Be kind."), user([IMAGE])], fold) == [
        user([{"type": "text", "text": "Be kind."}, IMAGE])
    ]


def test_dropped_system_messages_leave_something_to_answer() -> None:
    """All are removed; a history of nothing else becomes a user message of one word."""
    drop = History(system="drop")

    assert legal(PLAIN, drop) == PLAIN[1:]
    assert legal([system("Be kind.")], drop) == [user(PADDING)]


def test_a_developer_message_is_a_system_message() -> None:
    """Few templates know the newer role."""
    developer = {"role": "developer", "content": "Be kind."}

    assert legal([developer, user("Hello!")], History()) == [system("Be kind."), user("Hello!")]


def test_neighbours_of_one_role_become_one_message() -> None:
    """Blank lines join texts; parts follow parts, and blank lines set off the text in them."""
    text = {"type": "text", "text": "Look!"}
    messages = [user("Hello!"), user([text, IMAGE]), user([IMAGE]), user([text])]

    assert legal([user("One."), user("Two.")], History(alternate=True)) == [user("One.\n\nTwo.")]
    assert legal(messages, History(alternate=True)) == [
        user(
            [
                {"type": "text", "text": "Hello!"},
                {"type": "text", "text": "\n\nLook!"},
                IMAGE,
                IMAGE,
                {"type": "text", "text": "\n\nLook!"},
            ]
        )
    ]


def test_a_greeting_gets_a_user_message_before_it() -> None:
    """With alternation the user begins, and the message to continue stays last."""
    messages = [
        system("You are Ember."),
        assistant("Hello, stranger."),
        user("Hi."),
        assistant("I"),
    ]

    assert legal(messages, History(alternate=True)) == [
        system("You are Ember."),
        user(PADDING),
        *messages[1:],
    ]
    assert legal(messages, History(alternate=True, system="fold")) == [
        user("You are Ember."),
        *messages[1:],
    ]


def test_system_messages_in_the_middle_fold_under_alternation() -> None:
    """Templates that require turns take a system message only at the beginning."""
    messages = [system("A"), system("B"), user("1"), assistant("2"), system("C"), user("3")]

    assert legal(messages, History(alternate=True)) == [
        system("A\n\nB"),
        user("1"),
        assistant("2"),
        user("C\n\n3"),
    ]


def test_tools_are_written_out_for_models_without_them() -> None:
    """Calls become assistant text and results user text, each with the function's name."""
    messages = [
        user("Weather?"),
        assistant("Let me see.", tool_calls=[call("a"), call("b", "time", {"zone": "CET"})]),
        tool("a", "Sun."),
        tool("b", [{"type": "text", "text": "Noon."}]),
        assistant("Sunny, at noon."),
    ]
    called = '[Called weather with {"city": "Oslo"}]\n[Called time with {"zone": "CET"}]'

    assert legal(messages, History(tools="text")) == [
        user("Weather?"),
        assistant(f"Let me see.\n\n{called}"),
        user("[Result of weather]\n\nSun."),
        user(
            [
                {"type": "text", "text": "[Result of time]"},
                {"type": "text", "text": "\n\nNoon."},
            ]
        ),
        assistant("Sunny, at noon."),
    ]


def test_answered_calls_are_kept_as_they_are() -> None:
    """The results may have any order, and models may repeat ids."""
    exchange = [
        assistant(None, tool_calls=[call("a"), call("b")]),
        tool("b", "Noon."),
        tool("a", "Sun."),
        assistant("Sunny."),
    ]
    messages = [user("Weather?"), *exchange, user("And now?"), *exchange]

    assert legal(messages, History()) == messages


@pytest.mark.parametrize(
    "exchange",
    [
        [tool("a", "Sun.")],
        [assistant(None, tool_calls=[call("a")])],
        [assistant(None, tool_calls=[call("a")]), tool("z", "Sun.")],
        [assistant(None, tool_calls=[call("a"), call("b")]), tool("a", "Sun.")],
        [assistant(None, tool_calls=[call("a"), call("a")]), tool("a", "Sun."), tool("a", "Sun.")],
        [assistant(None, tool_calls=[call(None)]), tool(None, "Sun.")],
        [assistant(None, tool_calls=[call("a", arguments=None)]), tool("a", "Sun.")],
        [assistant(None, tool_calls="weather"), tool("a", "Sun.")],
        [assistant(None, tool_calls=[{"id": "a", "custom": "weather"}]), tool("a", "Sun.")],
        [assistant("", function_call={"name": "f", "arguments": "{}"})],
        [{"role": "function", "name": "f", "content": "Sun."}],
    ],
)
def test_broken_exchanges_are_written_out(exchange: list[Message]) -> None:
    """Calls without results and results without calls become text without losses."""
    result = legal([user("Weather?"), *exchange, user("Well?")], History())

    assert {message["role"] for message in result} <= {"user", "assistant"}
    assert len(result) == len(exchange) + 2
    assert all(set(message) == {"role", "content"} for message in result)
    assert ("Sun." in str(result)) == ("Sun." in str(exchange))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>Hm.</think>\n\nYes.", "Yes."),
        ("Hm.</think>Yes.", "Yes."),
        ("Yes.<think>Hm.", "Yes."),
        ("So <think>a</think>it <think>b</think>is.", "So it is."),
        ("<think>a<think>b</think>c</think>Yes.", "Yes."),
        ("I rethink> it.", "I rethink> it."),
    ],
)
def test_thoughts_are_cut_out(text: str, expected: str) -> None:
    """Blocks without either mark, repeated and nested ones are removed; other text stays."""
    messages = [user("Is it?"), assistant(text, reasoning_content="Hm.", reasoning="Hm.")]

    assert legal(messages, History()) == [user("Is it?"), assistant(expected)]
    assert legal(messages, History(reasoning=True)) == messages


def test_parts_that_hold_reasoning_are_cut_out() -> None:
    """Thinking parts are removed, and text parts that hold only a thought."""
    answer = {"type": "text", "text": "Yes."}
    thoughts = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "<think>Hm."}]

    assert legal([user("Is it?"), assistant([*thoughts, answer])], History()) == [
        user("Is it?"),
        assistant([answer]),
    ]


def test_assistants_that_say_nothing_are_left_out() -> None:
    """A response of only reasoning is removed; with alternation the user messages are joined."""
    messages = [user("Is it?"), assistant("<think>Hm."), user("Well?")]

    assert legal(messages, History()) == [user("Is it?"), user("Well?")]
    assert legal(messages, History(alternate=True)) == [user("Is it?\n\nWell?")]
    assert legal(messages[:2], History()) == [user("Is it?"), assistant("")]


def test_a_refusal_counts_as_what_was_said() -> None:
    """Templates do not know the field, so its text becomes the content."""
    messages = [user("Do it."), assistant("", refusal="I will not."), user("Please.")]

    assert legal(messages, History()) == [
        user("Do it."),
        assistant("I will not."),
        user("Please."),
    ]
