"""What a policy may know of a request."""

from typing import Any

import numpy as np
import pytest

from blended.learning import features
from blended.learning.features import Facts

NAMES = ("a", "b")


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}], "one"),
        ([{"role": "user", "content": "one"}, {"role": "user", "content": "two"}], "two"),
        ([{"role": "user", "content": [{"text": "a"}, {"image_url": {}}, {"text": "b"}]}], "a\nb"),
        ([{"role": "user", "content": None}], ""),
        ([{"role": "system", "content": "x"}], ""),
        ([], ""),
    ],
)
def test_the_last_message_of_the_user_is_read(messages: list[Any], text: str) -> None:
    """As a text or in parts; whatever else a history holds."""
    assert features.last_message(messages) == text


def test_words_are_read_whatever_their_case_and_marks() -> None:
    """Of a long message its beginning."""
    assert features.words("Hello, WORLD… it's üb\udc80er!") == [
        "hello",
        "world",
        "it",
        "s",
        "üb",
        "er",
    ]
    assert len(features.words("word " * 10_000)) == features.MOST_WORDS
    assert len(features.rows(features.words("word " * 10_000))) == 2 * features.MOST_WORDS - 1


def test_rows_are_the_same_everywhere() -> None:
    """The hash of a word and of a pair is a part of a policy's file: it never changes."""
    assert features.rows(["hello", "world"]).tolist() == [1670, 323, 389]
    assert features.rows([]).tolist() == []


def test_facts_become_numbers_and_come_back() -> None:
    """What is not known is 0; facts of another version are none."""
    known = Facts(3, 7, "b", 12.5, True)

    assert Facts.from_json(known.to_json()) == known
    assert Facts.from_json({**known.to_json(), "version": 0}) is None
    vector = features.vector(known, NAMES)
    assert len(vector) == features.width(NAMES)
    assert vector[:3] == [1, 0, 1]
    assert all(0 <= number <= 2 for number in vector)
    assert features.vector(Facts(0), NAMES) == [1.0] + [0.0] * 7
    blind = features.before_message(np.array([vector]), NAMES)
    assert blind[0].tolist() == features.vector(Facts(3, before="b"), NAMES)
