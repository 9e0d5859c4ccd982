"""The conversation and the turn of a request."""

from typing import Any

from blended.router.turns import Lineage, lineage_of, turn_of

SYSTEM = {"role": "system", "content": "Be kind."}
FIRST = {"role": "user", "content": "Hello!"}
REPLY = {"role": "assistant", "content": "Hi!"}
SECOND = {"role": "user", "content": "How are you?"}


def chat(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages), **fields}


def test_a_history_that_grows_stays_one_conversation() -> None:
    """The derived conversation depends only on the messages up to the first user message."""
    turns = [
        turn_of(chat(SYSTEM, FIRST), {}, "key"),
        turn_of(chat(SYSTEM, FIRST, REPLY, SECOND), {}, "key"),
    ]

    assert turns[0].conversation == turns[1].conversation
    assert [turn.number for turn in turns] == [1, 2]


def test_another_beginning_is_another_conversation() -> None:
    """Another system prompt or first user message gives another conversation."""
    others = [chat(FIRST), chat(SYSTEM, SECOND), chat(SYSTEM, FIRST)]

    assert len({turn_of(other, {}, "key").conversation for other in others}) == 3


def test_the_client_may_name_the_conversation() -> None:
    """The header, metadata.conversation_id and prompt_cache_key name the same conversation."""
    named = [
        turn_of(chat(FIRST), {"x-conversation-id": "c-1"}, "key"),
        turn_of(chat(SECOND, metadata={"conversation_id": "c-1"}), {}, "key"),
        turn_of(chat(SYSTEM, SECOND, prompt_cache_key="c-1"), {}, "key"),
    ]

    assert len({turn.conversation for turn in named}) == 1


def test_names_are_hashed_whole() -> None:
    """`session-1` and `session-12` are two conversations, each of fixed length."""
    names = ["session-1", "session-12", "x" * 10_000]

    ids = [turn_of(chat(FIRST), {"x-conversation-id": name}, "key").conversation for name in names]

    assert len(set(ids)) == 3
    assert {len(i) for i in ids} == {32}


def test_a_name_cannot_be_mistaken_for_a_derived_conversation() -> None:
    """A client that sends another client's derived id as a name gets another conversation."""
    derived = turn_of(chat(FIRST), {}, "key").conversation

    assert turn_of(chat(FIRST), {"x-conversation-id": derived}, "key").conversation != derived


def test_metadata_of_other_shapes_is_passed_over() -> None:
    """With metadata that names no conversation, the conversation is derived."""
    plain = turn_of(chat(FIRST), {}, "key")

    others: list[Any] = [{"conversation_id": 7}, {"other": "x"}, "text", None, []]
    for metadata in others:
        assert turn_of(chat(FIRST, metadata=metadata), {}, "key") == plain


def test_completions_are_turn_zero_of_their_prompt() -> None:
    """Each prompt is a conversation of its own."""
    assert turn_of({"prompt": "Once"}, {}, "key").number == 0
    one, other = turn_of({"prompt": "Once"}, {}, "key"), turn_of({"prompt": ["Once"]}, {}, "key")
    assert one.conversation != other.conversation


def test_a_history_without_a_user_is_still_a_conversation() -> None:
    """Only system and assistant messages give turn 0 and an id."""
    turn = turn_of(chat(SYSTEM, REPLY), {}, "key")

    assert turn.number == 0
    assert len(turn.conversation) == 32


def test_a_history_has_the_lineage_that_its_continuation_has_as_parent() -> None:
    """This holds at any length and with tool calls; another word or user gives another lineage."""
    tool: list[dict[str, Any]] = [
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "3"},
    ]
    history: list[dict[str, Any]] = [SYSTEM]
    before = None
    for text in ("one", "two", "three"):
        history += [{"role": "user", "content": text}, *(tool if text == "two" else [])]
        found = lineage(*history)
        assert found.parent == before
        before = found.history
        history.append({"role": "assistant", "content": text.upper()})

    assert lineage(SYSTEM, FIRST) != lineage(SYSTEM, SECOND)
    assert lineage(SYSTEM, FIRST) != lineage(SYSTEM, FIRST, user="bob")


def test_nobodys_history_has_no_lineage() -> None:
    """Without a named user or conversation, equal words may come from different users."""
    assert lineage(FIRST, user=None) == Lineage(None, None)


def lineage(*messages: dict[str, Any], user: str | None = "ada") -> Lineage:
    payload = chat(*messages, user=user)
    return lineage_of(turn_of(payload, {}, "key"), payload["messages"])
