"""The window: the part of a long history that is sent, and how rarely its beginning moves."""

import asyncio
import math
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blended.config import History
from blended.router.history.content import Message
from blended.router.history.legal_form import legal
from blended.router.history.window import block_bytes, candidates, estimate, fit
from tests.router.history.histories import (
    IMAGE,
    SERVED,
    assistant,
    histories,
    render,
    system,
    user,
)

seeded = settings(derandomize=True, deadline=None, max_examples=60)
rooms = st.integers(50, 3000)
blocks = st.floats(0.1, 0.9)


@dataclass
class Counter:
    """A component's tokenizer: some bytes per token, and some tokens more for each message."""

    bytes_per_token: float = 4.5
    history: History = field(default_factory=History)
    asked: list[int] = field(default_factory=list)

    def tokens(self, messages: list[Message]) -> int:
        sent = legal(messages, self.history)
        size = sum(len(str(message["content"]).encode()) for message in sent)
        return math.ceil(size / self.bytes_per_token) + 4 * len(sent)

    async def count(self, messages: list[Message]) -> int:
        self.asked.append(self.tokens(messages))
        return self.asked[-1]


def fitted(
    messages: list[Message], room: int, block: float, counter: Counter, sure: bool = False
) -> list[Message]:
    return asyncio.run(fit(messages, room, block, counter.count, sure))


def talk(turns: int, words: int = 20, pinned: str = "You are Ember.") -> list[Message]:
    """A conversation that ends with its user's message number `turns`, counted from 0."""
    messages = [system(pinned)]
    for turn in range(turns):
        messages += [user(f"{turn} " + "ask " * words), assistant(f"{turn} " + "say " * words)]
    return [*messages, user(f"{turns} " + "ask " * words)]


@st.composite
def talks(draw: st.DrawFn) -> list[Message]:
    """Conversations of uneven turns, some with a greeting, parts or a late system message."""
    messages = [system("p" * n) for n in draw(st.lists(st.integers(0, 400), max_size=2))]
    if draw(st.booleans()):
        messages.append(assistant("Hello, stranger."))
    for length in draw(st.lists(st.integers(1, 400), min_size=1, max_size=25)):
        content = draw(st.sampled_from(["a", "é"])) * length
        parts = [{"type": "text", "text": content}, IMAGE]
        messages += [user(content if length % 9 else parts), assistant("b" * length)]
        if length % 11 == 0:
            messages.append(system("Be brief."))
    return messages[: len(messages) - draw(st.integers(0, 1))]


@seeded
@given(messages=st.one_of(histories, talks()), room=rooms, block=blocks)
def test_candidates_shrink_from_the_whole_to_the_last_user_message(
    messages: list[Message], room: int, block: float
) -> None:
    """Each has the pinned messages, then begins with a user message, and ends as the history."""
    roles = [message["role"] for message in messages]
    pinned = next((i for i, r in enumerate(roles) if r not in ("system", "developer")), len(roles))

    first, *others = candidates(messages, room, block)

    assert first == messages
    for longer, shorter in pairwise([first, *others]):
        assert len(shorter) < len(longer)
        assert shorter[:pinned] == messages[:pinned]
        assert shorter[pinned]["role"] == "user"
        assert longer[pinned:][-(len(shorter) - pinned) :] == shorter[pinned:]
    if "user" in roles:
        last_user = len(roles) - roles[::-1].index("user") - 1
        shortest = [first, *others][-1][pinned:]
        assert shortest[-(len(roles) - last_user) :] == messages[last_user:]
        assert not others or shortest == messages[last_user:]


def test_cuts_are_at_the_first_user_message_of_each_block() -> None:
    """Blocks of 292 bytes and messages of 100, with their marks: cuts at 400 and at 600."""
    turns = [user("u" * 84), assistant("a" * 84)] * 4
    messages = [system(""), *turns]

    assert block_bytes(messages, 200, 0.5) == 292
    assert [len(candidate) for candidate in candidates(messages, 200, 0.5)] == [9, 5, 3]


@seeded
@given(messages=talks(), more=talks(), room=rooms, block=blocks)
def test_appending_moves_no_cut_but_the_last(
    messages: list[Message], more: list[Message], room: int, block: float
) -> None:
    """Each candidate but the last, with the appended messages, is a candidate again."""
    turns = [user("Well?"), *more]
    later = list(candidates(messages + turns, room, block))

    for candidate in list(candidates(messages, room, block))[:-1]:
        assert candidate + turns in later


@seeded
@given(messages=talks(), room=rooms, block=blocks, bytes_per_token=st.floats(1.5, 8))
def test_what_is_sent_fits_unless_nothing_does(
    messages: list[Message], room: int, block: float, bytes_per_token: float
) -> None:
    """When counted, only pinned messages and the last user message may exceed the room."""
    counter = Counter(bytes_per_token)
    *_, shortest = candidates(messages, room, block)

    sent = fitted(messages, room, block, counter, sure=True)

    assert counter.tokens(sent) <= room or sent == shortest
    longer = [c for c in candidates(messages, room, block) if len(c) > len(sent)]
    assert all(counter.tokens(c) > room or estimate(c) > 3 * room for c in longer)


@seeded
@given(messages=talks(), room=rooms, block=blocks, sure=st.booleans())
def test_counting_is_rare(messages: list[Message], room: int, block: float, sure: bool) -> None:
    """At most the logarithm of the number of candidates, each at most about three rooms long."""
    counter = Counter()
    options = len(list(candidates(messages, room, block)))

    fitted(messages, room, block, counter, sure)

    assert len(counter.asked) <= math.ceil(math.log2(options))
    assert len(set(counter.asked)) == len(counter.asked)


@pytest.mark.parametrize("turns", [0, 1, 20])
def test_short_histories_are_sent_whole_and_uncounted(turns: int) -> None:
    """Below 0.6 of the room by estimate nothing is counted."""
    messages, counter = talk(turns), Counter()
    room = math.ceil(estimate(messages) / 0.6)

    assert fitted(messages, room, 0.5, counter) == messages
    assert counter.asked == []


def test_long_histories_are_counted_a_few_times_only() -> None:
    """At any length of the history, only candidates of up to three rooms are counted."""
    counter = Counter()

    fitted(talk(2000), 1000, 0.5, counter, sure=True)

    assert 1 <= len(counter.asked) <= 3
    assert max(counter.asked) <= 3 * 1000


def test_unusual_text_is_counted_once_its_estimate_was_refused() -> None:
    """Text of few bytes a token seems to fit, and is cut when the router counts it."""
    messages, dense = talk(30), Counter(bytes_per_token=1.2)
    room = 2 * estimate(messages)
    assert dense.tokens(messages) > room

    assert fitted(messages, room, 0.5, dense) == messages
    sent = fitted(messages, room, 0.5, dense, sure=True)
    assert len(sent) < len(messages)
    assert dense.tokens(sent) <= room


@pytest.mark.parametrize("pinned_words", [1, 300, 600])
@pytest.mark.parametrize("block", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("bytes_per_token", [3.0, 4.5, 6.0])
def test_the_beginning_moves_once_a_block(
    pinned_words: int, block: float, bytes_per_token: float
) -> None:
    """In a conversation the prefix changes at most once for every block added, and once more.

    This holds while the pinned messages, a block and a turn fit into the room together.
    """
    room, whole = 1500, talk(150, pinned="rule " * pinned_words)
    counter = Counter(bytes_per_token)
    windows = [
        fitted(whole[: 2 * turn + 2], room, block, counter, sure=turn % 2 == 0)
        for turn in range(150)
    ]

    changes = sum(new[: len(old)] != old for old, new in pairwise(windows))
    said = 3 * estimate(whole)
    assert 0 < changes <= said / block_bytes(whole, room, block) + 1
    assert all(counter.tokens(window) <= room for window in windows)


@pytest.mark.parametrize(("name", "history"), SERVED)
def test_the_rendered_prompt_moves_only_with_the_window(name: str, history: History) -> None:
    """Between cuts each prompt begins with the one before; pinned text stays, folded or not."""
    whole, room = talk(40), 500
    prompts, drops = [], 0
    for turn in range(40):
        window = fitted(whole[: 2 * turn + 2], room, 0.5, Counter(history=history), sure=True)
        prompts.append(render(name, legal(window, history), ask=False))
        drops += turn > 0 and not prompts[-1].startswith(prompts[-2])

    assert 0 < drops <= 3 * estimate(whole) / block_bytes(whole, room, 0.5) + 1
    if history.system != "drop":
        assert all("You are Ember." in prompt for prompt in prompts)


def test_images_count_as_much_as_their_pixels_not_their_bytes() -> None:
    """A part other than text has a fixed estimate, however long its data URL is."""
    long = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10**6}}

    assert estimate([user([long])]) == estimate([user([IMAGE])])
    assert 1000 < estimate([user([IMAGE])]) < 2000


def test_everything_that_may_reach_a_prompt_is_estimated() -> None:
    """Tool calls and reasoning count; any text that JSON can carry has a size."""
    plain = estimate([assistant("Hm.")])

    assert estimate([assistant("Hm.", tool_calls=[{"id": "a"}])]) > plain
    assert estimate([assistant("Hm.", reasoning_content="Let me think.")]) > plain
    assert estimate([assistant("Hm.\ud800")]) > plain


@pytest.mark.parametrize("room", [-100, 0, 1])
def test_no_room_leaves_the_pinned_and_the_last_user_message(room: int) -> None:
    """The component then says itself that they are too long."""
    messages = talk(10)

    assert fitted(messages, room, 0.5, Counter()) == [messages[0], messages[-1]]
