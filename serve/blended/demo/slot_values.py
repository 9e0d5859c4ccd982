"""Slot values: names, foods, hobbies and so on, with a part that training never sees."""

import random
import zlib
from functools import cache

from blended.demo import phrases

_ONSETS = [
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "kl",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "qu",
    "r",
    "s",
    "sh",
    "st",
    "t",
    "th",
    "tr",
    "v",
    "w",
    "y",
    "z",
]
_VOWELS = [
    "a",
    "a",
    "a",
    "e",
    "e",
    "e",
    "i",
    "i",
    "i",
    "o",
    "o",
    "u",
    "ai",
    "ea",
    "ee",
    "ia",
    "io",
    "oo",
    "y",
]
_CODAS = [
    "",
    "",
    "",
    "",
    *["n", "n", "r", "l", "s", "m", "t", "ck", "ll", "nd", "x", "th", "rk", "ne"],
]
MADE_UP_SHARE = 0.2  # unknown words leave nothing to guess, so they teach copying
_FREE_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def is_reserved(value: str) -> bool:
    """A tenth of all made-up values, chosen by checksum, is kept out of training."""
    return zlib.crc32(value.lower().encode()) % 10 == 0


def listed(slot: str, rng: random.Random, *, held_out: bool = False) -> str:
    sections = phrases.load("values")
    key = f"{slot}:held_out"
    return rng.choice(sections[key if held_out and key in sections else slot])


@cache
def _listed_names(*, held_out: bool) -> frozenset[str]:
    ending = ":held_out" if held_out else ""
    sections = phrases.load("values")
    lists = (sections[slot + ending] for slot in ("real_name", "pet_name"))
    return frozenset(name.lower() for names in lists for name in names)


def made_up_name(rng: random.Random, *, held_out: bool) -> str:
    known = _listed_names(held_out=not held_out)
    while True:
        count = rng.choice((1, 1, 2, 2, 2, 2, 3))
        parts = (
            rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(count)
        )
        name = "".join(parts).capitalize()
        if 3 <= len(name) <= 9 and name.lower() not in known and is_reserved(name) == held_out:
            return name


def name(rng: random.Random, *, held_out: bool) -> str:
    if rng.random() < (0.5 if held_out else 0.45):
        return listed("real_name", rng, held_out=held_out)
    return made_up_name(rng, held_out=held_out)


def pet(rng: random.Random, *, held_out: bool) -> str:
    if rng.random() < 0.5:
        return listed("pet_name", rng, held_out=held_out)
    return made_up_name(rng, held_out=held_out)


def _pair(first: str, second: str, rng: random.Random, *, held_out: bool) -> str:
    while True:
        pair = f"{listed(first, rng)} {listed(second, rng)}"
        if is_reserved(pair) == held_out:
            return pair


def hobby(rng: random.Random, *, held_out: bool) -> tuple[str, str]:
    """A hobby and the thing that belongs to it, such as hiking and the trail."""
    if not held_out and rng.random() < MADE_UP_SHARE:
        word = made_up_name(rng, held_out=False).lower() + "ing"
        return word, "the " + word
    if rng.random() < 0.5:
        what, _, thing = listed("hobby", rng, held_out=held_out).partition("=")
        return what, thing
    pair = _pair("hobby_verb", "hobby_object", rng, held_out=held_out)
    return pair, "the " + pair.split(" ", 1)[1]


def food(rng: random.Random, *, held_out: bool) -> str:
    if not held_out and rng.random() < MADE_UP_SHARE:
        return made_up_name(rng, held_out=False).lower()
    if rng.random() < 0.5:
        return listed("food", rng, held_out=held_out)
    return _pair("food_style", "food", rng, held_out=held_out)


def colour(rng: random.Random, *, held_out: bool) -> str:
    if not held_out and rng.random() < MADE_UP_SHARE:
        return made_up_name(rng, held_out=False).lower()
    if rng.random() < 0.6:
        return listed("colour", rng, held_out=held_out)
    return _pair("colour_tone", "colour", rng, held_out=held_out)


def gibberish(rng: random.Random) -> str:
    """A few words that mean nothing, so that unknown words lead to the polite fallback."""
    words = range(rng.randint(1, 4))
    return " ".join("".join(rng.choices(_FREE_LETTERS, k=rng.randint(2, 8))) for _ in words)


def scramble(rng: random.Random) -> str:
    """Known words in an order that makes no sense."""
    sections = phrases.load("users")
    lines = [rng.choice(sections[rng.choice(list(sections))]) for _ in range(4)]
    words = [word for line in lines for word in line.split() if word.isalpha()] or ["hm"]
    return " ".join(rng.choices(words, k=rng.randint(3, 7)))


def draw(slot: str, rng: random.Random, *, held_out: bool) -> dict[str, str]:
    """A value for the slot, with the slots that come along with it."""
    match slot:
        case "name":
            return {slot: name(rng, held_out=held_out)}
        case "pet":
            return {slot: pet(rng, held_out=held_out)}
        case "food":
            return {slot: food(rng, held_out=held_out)}
        case "colour":
            return {slot: colour(rng, held_out=held_out)}
        case "hobby":
            what, thing = hobby(rng, held_out=held_out)
            return {slot: what, "thing": thing}
        case "number":
            return {slot: str(rng.randint(2, 99))}
        case "gibberish":
            return {slot: gibberish(rng)}
        case "scramble":
            return {slot: scramble(rng)}
        case _:
            return {slot: listed(slot, rng, held_out=held_out)}
