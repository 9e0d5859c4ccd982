"""How much a response repeats the one before it."""

import re
from collections.abc import Mapping
from typing import Any

_WORD = re.compile(r"\w+")
# No real response is longer; comparing longer ones would delay other requests.
_LONGEST = 2**17


def repetition(content: Mapping[str, Any]) -> float | None:
    """The Jaccard index of the words of two consecutive responses, from 0 to 1.

    Words are compared without case and punctuation, each counted once. None if there is no
    earlier response, or no word in either.
    """
    messages = content.get("messages") or ()
    texts = [m.get("content") for m in messages if m.get("role") == "assistant"]
    if not texts or not isinstance(texts[-1], str) or not content["response"]:
        return None
    said = (text[:_LONGEST].lower() for text in (texts[-1], content["response"][0]))
    before, after = (set(_WORD.findall(text)) for text in said)
    return len(before & after) / len(before | after) if before | after else None
