"""A journal of simulated users of the demo, who have bad answers drawn again: its truth is known.

Run: python -m blended.reward.demo_journal --journal sqlite:////tmp/demo/journal.db

Users talk as in demo/corpus.py, and answers are made as there, by no model. Some have a fault.
Users have most answers with a fault drawn again, and few of the others. So a reward model that is
fitted to this journal has learnt to see faults: wrong and garbled facts, answers to something else,
repeated answers and such that break off.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice

from blended.demo import corpus, slot_values
from blended.demo.corpus import FACTS, PERSONAS, Turn
from blended.journal.records import ResponseRecord
from blended.journal.store import Store
from blended.reward.simulated_chats import Chat, user_id

# How often an answer has a fault, by component: flint is not what users like best.
FAULTY: Mapping[str, float] = {"ember": 0.3, "flint": 0.4, "willow": 0.35}
# How often users have an answer drawn again, with a fault and without; at most so often in a row.
AGAIN, AGAIN_ANYWAY, PATIENCE = 0.8, 0.05, 3
_DAYS, _DAY_S, _PAUSE_S = 28, 86_400.0, 30.0
_TURNS = (2, 3, 3, 4, 4, 5, 5, 6, 7)
_STRAYS = ("weather", "food_ask", "tired", "music", "work", "film", "joke", "bot_name", "offtopic")
_BATCH = 2_000

Fault = Callable[[str, Turn, str, random.Random], str | None]


def forgets(persona: str, turn: Turn, before: str, rng: random.Random) -> str | None:
    """Says that it was never told what it was told."""
    if not _asks_for_a_fact(turn):
        return None
    return corpus.reply(persona, Turn(turn.intents, "", {**turn.values, "what": "that"}), rng)


def confuses(persona: str, turn: Turn, before: str, rng: random.Random) -> str | None:
    """Another name, food, colour, hobby or pet than the user's."""
    told = [slot for slot in FACTS if slot in turn.values]
    if not told:
        return None
    slot = "name" if "name" in told and rng.random() < 0.4 else rng.choice(told)
    wrong = slot_values.draw(slot, rng, held_out=False)
    text = corpus.reply(persona, Turn(turn.intents, "", {**turn.values, **wrong}), rng)
    return text if _has(text, wrong[slot]) and not _has(text, turn.values[slot]) else None


def garbles(persona: str, turn: Turn, before: str, rng: random.Random) -> str | None:
    """The user's own word, with letters lost, doubled or changed."""
    text = corpus.reply(persona, turn, rng)
    told = [v for slot in FACTS if (v := turn.values.get(slot)) and v in text and len(v) > 3]
    if not told:
        return None
    word = rng.choice(told)
    at = rng.randrange(1, len(word))
    letter = rng.choice(("", word[at] * 2, rng.choice("aeioulnrst")))
    garbled = word[:at] + letter + word[at + 1 :]
    return None if garbled == word else text.replace(word, garbled)


def strays(persona: str, turn: Turn, before: str, rng: random.Random) -> str | None:
    """An answer to something that was not said."""
    others = [intent for intent in _STRAYS if intent not in turn.intents]
    values = {**slot_values.draw("weather", rng, held_out=False), **turn.values}
    return corpus.reply(persona, Turn((rng.choice(others),), "", values), rng)


def repeats(persona: str, turn: Turn, before: str, rng: random.Random) -> str | None:
    """The answer before, once more."""
    return before or None


def breaks_off(persona: str, turn: Turn, before: str, rng: random.Random) -> str | None:
    """In the middle of a sentence."""
    words = corpus.reply(persona, turn, rng).split()
    kept = len(words) - rng.randint(1, 3)
    return " ".join(words[:kept]).rstrip(".!?,;:") if kept > 1 else None


# The first that can be had is taken, in a random order.
FAULTS: tuple[Fault, ...] = (
    forgets,
    confuses,
    confuses,
    garbles,
    strays,
    strays,
    repeats,
    breaks_off,
)


def answer(persona: str, turn: Turn, before: str, rng: random.Random) -> tuple[str, bool]:
    """An answer, and whether it has a fault."""
    if rng.random() < FAULTY[persona]:
        for fault in rng.sample(FAULTS, len(FAULTS)):
            if text := fault(persona, turn, before, rng):
                return text, True
    return corpus.reply(persona, turn, rng), False


def conversation(user: str, start: float, rng: random.Random) -> Iterator[ResponseRecord]:
    """All responses of one user's conversation, those that were drawn again included."""
    chat = Chat(user, 0, PERSONAS)
    messages, before, at = list[Mapping[str, str]](), "", start
    for turn in corpus.plan(rng, rng.choice(_TURNS)):
        messages.append({"role": "user", "content": turn.text})
        for attempt in range(PATIENCE):
            persona = rng.choice(PERSONAS)
            text, is_faulty = answer(persona, turn, before, rng)
            yield chat.record(at, messages, persona, text)
            at += _PAUSE_S
            if attempt == PATIENCE - 1 or rng.random() > (AGAIN if is_faulty else AGAIN_ANYWAY):
                break
        messages.append({"role": "assistant", "content": text})
        before = text


def records(users: int, seed: int, start: float) -> Iterator[ResponseRecord]:
    """The journal of so many users, who come evenly over four weeks from `start` on."""
    for number in range(users):
        rng = random.Random(f"demo users {seed} {number}")
        came = start + _DAYS * _DAY_S * number / users
        yield from conversation(user_id(seed, number), came, rng)


def write(store: Store, made: Iterator[ResponseRecord]) -> int:
    """Keep all records; returns how many there were."""
    store.migrate()
    count = 0
    while batch := list(islice(made, _BATCH)):
        store.add(batch)
        count += len(batch)
    return count


def _asks_for_a_fact(turn: Turn) -> bool:
    return turn.intents[-1].startswith("recall_") and "what" not in turn.values


def _has(text: str, value: str) -> bool:
    return value.lower() in text.lower()


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the journal, which must be empty or not there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journal", required=True, help="its address: sqlite:////tmp/journal.db")
    parser.add_argument("--users", type=int, default=6_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    start = time.time() // _DAY_S * _DAY_S - (_DAYS + 2) * _DAY_S
    with closing(Store(options.journal)) as store:
        count = write(store, records(options.users, options.seed, start))
    print(f"{count:,} simulated responses")


if __name__ == "__main__":
    main()
