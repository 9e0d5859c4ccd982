"""How the router changes a response on its way, and the data that it reads from it."""

import json

import pytest

from blended.router.rewriting import Passage, conceal

EVENT = b'data: {"model":"upstream-model","choices":[{"delta":{"content":"Hi"}}]}\n\n'
LAST = b'data: {"model":"m","choices":[{"delta":{},"finish_reason":"length"}]}\n\n'
USAGE = b'data: {"model":"upstream-model","choices":[],"usage":{"total_tokens":9}}\n\n'
DONE = b"data: [DONE]\n\n"


def passed(stream: bytes, passage: Passage, size: int) -> bytes:
    """The stream after the passage, cut in chunks of `size` bytes."""
    chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
    return b"".join(map(passage.feed, chunks)) + passage.flush()


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_components_are_concealed_however_chunks_cut_the_events(size: int) -> None:
    """The concealed stream is the same for all chunk sizes."""
    stream = EVENT * 3 + DONE

    assert passed(stream, Passage("blend", keep_usage=False), size) == stream.replace(
        b"upstream-model", b"blend"
    )


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_usage_is_taken_note_of_and_kept_from_a_client_who_did_not_ask(size: int) -> None:
    """The event that only reports usage is dropped, or kept if the client asked for it."""
    stream = EVENT * 3 + LAST + USAGE + DONE
    hidden, shown = Passage(None, keep_usage=False), Passage(None, keep_usage=True)

    assert passed(stream, hidden, size) == stream.replace(USAGE, b"")
    assert passed(stream, shown, size) == stream
    for passage in (hidden, shown):
        assert passage.usage == {"total_tokens": 9}
        assert (passage.finish_reason, passage.events, passage.complete) == ("length", 4, True)


def test_a_stream_without_its_done_is_not_complete() -> None:
    """Only [DONE] completes a stream, with or without its blank line."""
    cut, whole = Passage(None, keep_usage=True), Passage(None, keep_usage=True)

    passed(EVENT + LAST, cut, 10)
    passed(EVENT + LAST + DONE.strip(), whole, 10)
    assert not cut.complete
    assert whole.complete


def test_lines_may_end_as_on_windows() -> None:
    """The SSE standard allows CRLF; events still pass one by one."""
    passage = Passage(None, keep_usage=True)

    assert passage.feed(EVENT.replace(b"\n", b"\r\n")) == EVENT


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_component_that_names_itself_in_two_ways_stays_hidden(size: int) -> None:
    """A name in another form than in the first event is found; all fingerprints are removed."""
    other = EVENT.replace(
        b'"model":"upstream-model"', b'"model": "upstream", "system_fingerprint":"f"'
    )
    shown = passed(EVENT + other + EVENT + DONE, Passage("blend", keep_usage=False), size)

    assert b"upstream" not in shown
    assert shown.count(b'"model":"blend"') == 3
    assert b'"system_fingerprint":null' in shown


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_an_error_in_a_stream_ends_it(size: int) -> None:
    """The events before it pass, the error does not, and the stream is not complete."""
    passage = Passage(None, keep_usage=True)
    error = b'data: {"error": {"message": "out of memory"}}\n\n'

    assert passed(EVENT * 2 + error, passage, size) == EVENT * 2
    assert (passage.failed, passage.complete, passage.events) == (True, False, 2)


def test_a_whole_response_tells_its_usage_and_its_end() -> None:
    """A response that is not a stream is read in the same way."""
    passage = Passage("blend", keep_usage=False)
    body = {"model": "m", "choices": [{"finish_reason": "stop"}], "usage": {"total_tokens": 3}}

    assert json.loads(passage.whole(json.dumps(body).encode(), body)) == body | {"model": "blend"}
    assert (passage.usage, passage.finish_reason) == ({"total_tokens": 3}, "stop")


def test_concealing_leaves_texts_alone() -> None:
    """Text in a response that looks like the field stays as it is."""
    text = json.dumps(
        {"text": 'say "model":"x"', "model": "upstream", "system_fingerprint": "a1"}
    ).encode()

    assert json.loads(conceal(text, 'the "blend"')) == {
        "text": 'say "model":"x"',
        "model": 'the "blend"',
        "system_fingerprint": None,
    }
