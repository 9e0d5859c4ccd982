"""Server-Sent Events, by the standard's own examples and however they are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blended import sse
from blended.sse import Comment, Event, Framer, Parser

# What stands in a line: no end of one, and all that a careless parser might take for something.
TEXTS = st.text(st.sampled_from(["a", " ", ":", "é", "\x0b", "\u2028", "{", '"']), max_size=6)
NAMES = st.sampled_from(["data", "event", "id", "retry", "dat", ""])
BLOCKS = st.lists(st.tuples(NAMES, TEXTS), min_size=1, max_size=4)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def read(chunks: list[bytes]) -> list[Event | Comment]:
    """What a parser makes of the chunks."""
    parser = Parser()
    return [item for chunk in chunks for item in parser.feed(chunk)]


def shown(stream: str) -> list[tuple[str, str]]:
    """Type and data of a stream's events."""
    return [(e.event, e.data.decode()) for e in sse.events([stream.encode()])]


def expected(block: list[tuple[str, str]]) -> tuple[str, str] | None:
    """Type and data of a block's event; None where it has none."""
    data = [value for name, value in block if name == "data"]
    types = [value for name, value in block if name == "event"]
    return ((types or [""])[-1] or "message", "\n".join(data)) if data else None


@given(st.lists(BLOCKS, max_size=4), LINE_ENDS, st.data())
def test_any_chunking_gives_the_same_events(
    blocks: list[list[tuple[str, str]]], end: str, draw: st.DataObject
) -> None:
    """Events, comments and their order are those of the blocks, whatever ends lines and chunks."""
    lines = [[f"{name}: {value}" for name, value in block] for block in blocks]
    stream = "".join(end.join([*block, "", ""]) for block in lines).encode()
    cuts = draw.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    chunks = [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]

    items = read(chunks)

    assert b"".join(item.raw for item in items) == stream.replace(end.encode(), b"\n")
    assert [
        (item.event, item.data.decode()) if isinstance(item, Event) else None for item in items
    ] == list(map(expected, blocks))


@given(st.text(st.sampled_from("d\r\n: \ufeff"), max_size=30).map(str.encode), st.data())
def test_any_bytes_are_read_alike_whole_and_byte_by_byte(
    stream: bytes, draw: st.DataObject
) -> None:
    """Blank lines, halves of a CRLF and byte order marks come in any order and any cut."""
    stream = b"data" + stream if draw.draw(st.booleans()) else stream

    assert read([stream]) == read([stream[i : i + 1] for i in range(len(stream))])


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        ("data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10")]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third",
            [("message", "first event"), ("message", "second event")],
        ),
        ("data\n\ndata\ndata\n\ndata:", [("message", ""), ("message", "\n")]),
        ("data:test\n\ndata: test\n\n", [("message", "test")] * 2),
        ("event: add\ndata: 73857293\n\nevent: add\n\n", [("add", "73857293")]),
        ("event: a\nevent:\ndata: x\n\n", [("message", "x")]),
        ("data:  x\n\n", [("message", " x")]),
        ("\ufeffdata: x\n\n\ufeffdata: y\n\n", [("message", "x")]),
        ("\n\n\ndata: x\n\n\n\ndata: y\n\n", [("message", "x"), ("message", "y")]),
        (" data: x\n\nDATA: y\n\n", []),
        ("data: x\r\n\rdata: y\n\r", [("message", "x"), ("message", "y")]),
    ],
)
def test_streams_are_read_as_the_standard_says(stream: str, found: list[tuple[str, str]]) -> None:
    """The standard's examples first; then what they leave out."""
    assert shown(stream) == found


def test_a_comment_is_told_from_an_event() -> None:
    """A sign of life is a comment, and so is a block of fields without data."""
    stream = b": alive\n\nevent: ping\n\n: with\ndata: x\n\n"

    assert read([stream]) == [
        Comment(b": alive\n\n"),
        Comment(b"event: ping\n\n"),
        Event("message", b"x", b": with\ndata: x\n\n"),
    ]


def test_what_lacks_its_blank_line_comes_by_a_flush_alone() -> None:
    """A stream that ends in the middle of a block leaves it to its reader."""
    framer = Framer()

    assert framer.feed(b"data: x\n\ndata: y\r") == b"data: x\n\n"
    assert framer.flush() == b"data: y\n\n"
    assert framer.flush() == b""


def test_what_is_written_is_read() -> None:
    """A document is one event, in whatever language its texts are."""
    document = {"text": "one\ntwo\r\u2028 é", "n": [1, None]}

    [event] = sse.events([sse.encode(document)])
    assert (event.event, sse.encode_data(event.data)) == ("message", sse.encode(document))
