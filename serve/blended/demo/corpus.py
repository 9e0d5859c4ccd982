"""The dialogue generator: small talk between a user and a blend of three personas.

Its sentences are in text/. Pure functions; the caller passes the random.Random. To see some talks:
python -m blended.demo.corpus
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from blended.demo import phrases, slot_values

PERSONAS = ("ember", "flint", "willow")
OWN_SHARE = 0.6
FACTS = ("name", "food", "colour", "hobby", "pet")
STATES = {
    "name": "intro",
    "food": "food_fav",
    "colour": "colour_fav",
    "hobby": "hobby",
    "pet": "pet",
}
_STATED_SLOTS = {
    "intro": ("name",),
    "food_fav": ("food",),
    "colour_fav": ("colour",),
    "hobby": ("hobby", "thing"),
    "pet": ("pet", "animal"),
}
_OWNED = {
    "name": "your name",
    "food": "your favourite food",
    "colour": "your favourite colour",
    "hobby": "your hobby",
    "pet": "the name of your {animal}",
}
_TOPICS = {
    "hobby": "{hobby}", "hobby_ask": "hobby talk", "food_ask": "dinner", "hungry": "food",
    "food_fav": "eating {food}", "weather": "the weather", "weather_ask": "the weather",
    "pet": "your {animal}", "pet_talk": "animal life", "music": "music", "book": "reading",
    "film": "cinema", "travel": "travelling", "work": "work", "school": "school",
    "tired": "your long day", "happy": "your good mood", "sad": "your sadness",
    "bored": "boredom", "stressed": "stress", "angry": "anger", "lonely": "loneliness",
    "sleep": "sleep", "sick": "your health", "birthday": "your birthday", "joke": "humour",
    "weekend": "the weekend", "colour_fav": "the colour {colour}", "colour_ask": "colour",
    "family": "your family", "friends": "friendship", "sport": "sport", "place": "nature",
    "drink": "coffee and tea",
}  # fmt: skip
_CHAT = (*_TOPICS, "how_are_you", "bot_name", "bot_what", "can_do", "compliment", "love", "insult")
_PROMPTS = ("more", "why", "yes", "no", "ok", "and_you", "topic")
_CLOSINGS = ("thanks", "bye", "night")
_QUESTIONS = (
    "how_are_you",
    "bot_name",
    "food_ask",
    "joke",
    "weather_ask",
    "hobby_ask",
    "colour_ask",
)
_NAME_SHARE = {"ember": 0.7, "flint": 0.2, "willow": 0.35}
_CLOSING_SHARE = {"ember": 0.75, "flint": 0.4, "willow": 0.85}


@dataclass(frozen=True)
class Turn:
    """What the user says, and the values a reply may refer to."""

    intents: tuple[str, ...]
    text: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Message:
    role: str
    content: str
    speaker: str = ""


@dataclass(frozen=True)
class Dialogue:
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...]

    def speakers(self) -> tuple[str, ...]:
        return tuple(m.speaker for m in self.messages if m.role == "assistant")


@dataclass
class Memory:
    """The facts and the topic of one dialogue so far."""

    facts: dict[str, str] = field(default_factory=dict)
    topic: str = ""


def reply(persona: str, turn: Turn, rng: random.Random) -> str:
    """A reply in the persona's voice, using what the turn's values offer."""
    sections = phrases.load(persona)
    known = frozenset(turn.values) | {"v", "dish"}
    *earlier, last = turn.intents
    parts = [phrases.choose_fillable(sections[_opening(i, rng)], known, rng) for i in earlier]
    last = _section_for(last, turn)
    parts.append(phrases.choose_fillable(sections[last], known, rng))
    closings = sections.get(last + ">", ())
    if closings and not earlier and rng.random() < _CLOSING_SHARE[persona]:
        parts.append(phrases.choose_fillable(closings, known, rng))
    return _render(" ".join(parts), persona, turn.values, rng)


def _opening(intent: str, rng: random.Random) -> str:
    """The first of two intents gets its own line or a mere acknowledgement."""
    return intent if intent == "intro" or rng.random() < 0.6 else "ack"


def _section_for(intent: str, turn: Turn) -> str:
    if intent.startswith("recall") and "what" in turn.values:
        return "recall_unknown"
    return "topic_none" if intent == "topic" and "topic" not in turn.values else intent


def _render(template: str, persona: str, known: Mapping[str, str], rng: random.Random) -> str:
    """Fills a reply, addressing the user at most once."""
    filled = phrases.pick(template, rng)
    addressed = "name" in known and "{name}" not in filled and rng.random() < _NAME_SHARE[persona]
    if addressed:
        filled = filled.replace("{v}", f", {known['name']}", 1)
    filled = filled.replace("{v}", "")
    dish = known.get("dish") or slot_values.listed("dish", rng)
    return phrases.capitalise(phrases.fill(filled, {**known, "dish": dish}))


def say(
    intents: tuple[str, ...],
    facts: Mapping[str, str],
    rng: random.Random,
    *,
    held_out: bool,
) -> tuple[str, dict[str, str]]:
    """One user message for the intents, and the values it mentions."""
    mentioned: dict[str, str] = {}
    sentences = [_sentence(intent, facts, mentioned, rng, held_out=held_out) for intent in intents]
    text = " ".join(sentences)
    if rng.random() < 0.22:
        text = text.lower()
        mentioned = {slot: value.lower() for slot, value in mentioned.items()}
    return phrases.roughen(text, rng), mentioned


def _sentence(
    intent: str,
    facts: Mapping[str, str],
    mentioned: dict[str, str],
    rng: random.Random,
    *,
    held_out: bool,
) -> str:
    template = phrases.pick(rng.choice(phrases.load("users")[intent]), rng)
    if intent == "recall_pet" and "animal" in facts:
        mentioned["animal"] = facts["animal"]

    def value(match: re.Match[str]) -> str:
        slot = match[1]
        if slot not in mentioned or slot in ("noun", "number"):
            mentioned.update(slot_values.draw(slot, rng, held_out=held_out))
        return mentioned[slot]

    text = re.sub(r"\{(\w+)\}", value, template)
    return phrases.capitalise(text) if rng.random() < 0.8 else text


def converse(
    intents: tuple[str, ...], memory: Memory, rng: random.Random, *, held_out: bool
) -> Turn:
    """The next turn; the memory keeps the facts that it states."""
    text, mentioned = say(intents, memory.facts, rng, held_out=held_out)
    known = {"topic": memory.topic} if memory.topic else {}
    known |= mentioned
    for intent in intents:
        known |= _recalled(intent, memory.facts, mentioned)
        _remember(intent, memory, mentioned)
    return Turn(intents, text, known | _name_of(memory))


def _name_of(memory: Memory) -> dict[str, str]:
    return {"name": memory.facts["name"]} if "name" in memory.facts else {}


def _recalled(
    intent: str, facts: Mapping[str, str], mentioned: Mapping[str, str]
) -> dict[str, str]:
    """The fact that a recall question asks for, or "what" it is if the user never told it."""
    if not intent.startswith("recall_"):
        return {}
    fact = intent.removeprefix("recall_")
    if fact in facts:
        return {slot: facts[slot] for slot in (fact, "thing", "animal") if slot in facts}
    return {"what": phrases.fill(_OWNED[fact], {"animal": mentioned.get("animal", "pet")})}


def _remember(intent: str, memory: Memory, mentioned: Mapping[str, str]) -> None:
    for slot in _STATED_SLOTS.get(intent, ()):
        if slot in mentioned:
            memory.facts[slot] = mentioned[slot]
    if intent in _TOPICS:
        memory.topic = phrases.fill(_TOPICS[intent], mentioned)


def _next_intents(memory: Memory, position: int, left: int, rng: random.Random) -> tuple[str, ...]:
    """The user's next move, given the known facts and the progress of the dialogue."""
    if "name" not in memory.facts and rng.random() < (0.5 if position == 0 else 0.15):
        return _maybe_two(("intro",), rng)
    if position == 0 and rng.random() < 0.4:
        return ("greet",)
    if left == 0 and rng.random() < 0.2:
        return (rng.choice(_CLOSINGS),)
    chance = rng.random()
    if memory.facts and chance < 0.24:
        told = [fact for fact in FACTS if fact in memory.facts]
        return ("recall_" + rng.choice([*told, *(["name"] if "name" in told else [])]),)
    if chance < 0.28:
        unknown = [fact for fact in FACTS if fact not in memory.facts]
        return ("recall_" + rng.choice(unknown),) if unknown else ("thanks",)
    if chance < 0.42:
        return (rng.choice(_PROMPTS if memory.topic else ("topic", "ok", "greet")),)
    if chance < 0.48:
        return ("offtopic",)
    if chance < 0.66:
        return _maybe_two((rng.choice(("hobby", "food_fav", "colour_fav", "pet")),), rng)
    return _maybe_two((rng.choice(_CHAT),), rng)


def _maybe_two(intents: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """Now and then one message carries a statement and then something else."""
    if rng.random() > 0.14 or intents[0] in _QUESTIONS:
        return intents
    second = rng.choice((*_QUESTIONS, "hobby", "tired", "food_fav", "happy"))
    return intents if second in intents else (*intents, second)


def plan(rng: random.Random, turns: int, *, held_out: bool = False) -> tuple[Turn, ...]:
    """The user's side of a dialogue."""
    memory = Memory()
    planned = []
    for position in range(turns):
        intents = _next_intents(memory, position, turns - 1 - position, rng)
        planned.append(converse(intents, memory, rng, held_out=held_out))
    return tuple(planned)


def dialogue(rng: random.Random, own: str, *, held_out: bool = False) -> Dialogue:
    """A dialogue whose last reply is in the own persona's voice, the others' at random."""
    turns = plan(rng, rng.choice((1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 10, 13)), held_out=held_out)
    return perform(turns, own, rng)


def perform(turns: tuple[Turn, ...], own: str, rng: random.Random) -> Dialogue:
    """Gives every turn a reply, by a random persona except for the last."""
    messages = list(_before(rng))
    for position, turn in enumerate(turns):
        mine = position == len(turns) - 1 or rng.random() < OWN_SHARE
        speaker = own if mine else rng.choice(PERSONAS)
        messages += _user_messages(turn.text, rng)
        messages.append(Message("assistant", reply(speaker, turn, rng), speaker))
    return Dialogue(tuple(messages), turns)


def _before(rng: random.Random) -> Iterator[Message]:
    """A system message now and then; rarely, the blend speaks first."""
    if rng.random() < 0.15:
        yield Message("system", slot_values.listed("system", rng))
    if rng.random() < 0.04:
        speaker = rng.choice(PERSONAS)
        yield Message("assistant", reply(speaker, Turn(("greet",), "", {}), rng), speaker)


def _user_messages(text: str, rng: random.Random) -> Iterator[Message]:
    """Two sentences sometimes come as two messages, as after a failed response."""
    first, dot, second = text.partition(". ")
    if second and rng.random() < 0.3:
        yield Message("user", first + dot.strip())
        text = second
    yield Message("user", text)


def main() -> None:
    rng = random.Random(0)
    for own in PERSONAS * 3:
        for message in dialogue(rng, own).messages:
            print(f"{message.speaker or message.role:>9}  {message.content}")
        print()


if __name__ == "__main__":
    main()
