"""The written phrases: loads text/*.txt, picks alternatives, fills slots, roughens typing."""

import random
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

Sections = Mapping[str, tuple[str, ...]]

TEXT_FOLDER = Path(__file__).parent / "text"
_ALTERNATIVES = re.compile(r"\(([^()]*)\)")
_LOOSE_MARK = re.compile(r" ([.,!?])")
_SLOT = re.compile(r"\{(\w+)\}")
_SENTENCE_START = re.compile(r"(^|[.!?] )([a-z])")


@cache
def load(name: str) -> Sections:
    """Sections of text/<name>.txt; the closing lines of "[x]" are found under "x>"."""
    found: dict[str, list[str]] = {}
    key = ""
    for line in (TEXT_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            key = line.strip("[]")
        elif line.startswith("> "):
            found.setdefault(key + ">", []).extend(line[2:].split(" | "))
        elif line and not line.startswith("#"):
            found.setdefault(key, []).extend(line.split(" | "))
    return {section: tuple(lines) for section, lines in found.items()}


def pick(template: str, rng: random.Random) -> str:
    """Settles every "(a/b/)" of a template."""
    while match := _ALTERNATIVES.search(template):
        chosen = rng.choice(match[1].split("/"))
        template = template[: match.start()] + chosen + template[match.end() :]
    return _LOOSE_MARK.sub(r"\1", " ".join(template.split()))


@cache
def slots(template: str) -> frozenset[str]:
    return frozenset(_SLOT.findall(template))


def fill(template: str, values: Mapping[str, str]) -> str:
    return _SLOT.sub(lambda match: values[match[1]], template)


def capitalise(text: str) -> str:
    return _SENTENCE_START.sub(lambda match: match[1] + match[2].upper(), text)


def choose_fillable(lines: tuple[str, ...], known: frozenset[str], rng: random.Random) -> str:
    """A line whose slots are all known, rather one with slots than without; else nothing."""
    usable = [line for line in lines if slots(line) <= known] or [""]
    telling = [line for line in usable if slots(line) - {"v"}]
    return rng.choice(telling if telling and rng.random() < 0.5 else usable)


def roughen(text: str, rng: random.Random) -> str:
    """The same message as people type it: dropped marks, other case, a lead-in, a typo."""
    if rng.random() < 0.12:
        text = rng.choice(("Well, ", "So, ", "Hmm, ", "Oh, ", "Hey, ", "Okay, ", "Ah, ")) + text
    if rng.random() < 0.25:
        text = text.rstrip(".!?") + rng.choice(("", "", "", "!", "!!", "...", " :)"))
    if rng.random() < 0.12:
        text = text.replace("'", "").replace("I am", "Im").replace("do not", "dont")
    if rng.random() < 0.06:
        text = _misspell(text, rng)
    return text


def _misspell(text: str, rng: random.Random) -> str:
    """Swaps two neighbouring letters of one lower-case word, so names stay as they are."""
    words = text.split(" ")
    long = [index for index, word in enumerate(words) if word.islower() and len(word) > 4]
    if long:
        index = rng.choice(long)
        word = words[index]
        at = rng.randrange(1, len(word) - 2)
        words[index] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)
