"""The generated small talk: deterministic, complete, and honest about what is held out."""

import random

import pytest

from blended.demo import CONVERSATION, corpus, phrases, slot_values


def _dialogues(seed: int, count: int = 200, *, held_out: bool = False) -> list[corpus.Dialogue]:
    rng = random.Random(seed)
    return [corpus.dialogue(rng, "ember", held_out=held_out) for _ in range(count)]


def _told(dialogues: list[corpus.Dialogue], slot: str) -> set[str]:
    return {t.values[slot].lower() for d in dialogues for t in d.turns if slot in t.values}


def test_same_seed_gives_the_same_dialogues() -> None:
    """The corpus is a function of its seed."""
    assert _dialogues(3) == _dialogues(3)
    assert _dialogues(3) != _dialogues(4)


@pytest.mark.parametrize("slot", ["name", "pet", "food", "hobby", "colour"])
def test_held_out_values_never_occur_in_training(slot: str) -> None:
    """What evaluation asks for was never said in a training dialogue."""
    trained = _told(_dialogues(1, 1500), slot)
    held_out = _told(_dialogues(2, 400, held_out=True), slot)

    assert len(held_out) > 5
    assert not trained & held_out


def test_demo_name_is_held_out() -> None:
    """The name in the demo conversation is one that training never saw."""
    assert "Robin" in CONVERSATION[0]
    assert "Robin" in phrases.load("values")["real_name:held_out"]


def test_made_up_names_are_reserved_by_checksum() -> None:
    """Training and evaluation draw made-up names from two halves that cannot meet."""
    rng = random.Random(0)
    for _ in range(300):
        assert not slot_values.is_reserved(slot_values.made_up_name(rng, held_out=False))
        assert slot_values.is_reserved(slot_values.made_up_name(rng, held_out=True))


@pytest.mark.parametrize("persona", corpus.PERSONAS)
def test_every_persona_can_answer_every_intent(persona: str) -> None:
    """Each intent of users.txt gets a reply, whatever the user mentioned of its slots."""
    rng = random.Random(0)
    for intent in phrases.load("users"):
        for _ in range(20):
            memory = corpus.Memory(topic="music")
            turn = corpus.converse((intent,), memory, rng, held_out=False)
            assert corpus.reply(persona, turn, rng).strip(), intent


def test_last_reply_is_in_the_own_voice_and_others_are_mixed() -> None:
    """A model ends its dialogues itself, after turns that any persona may have given."""
    dialogues = _dialogues(5)

    assert all(d.speakers()[-1] == "ember" for d in dialogues)
    assert {speaker for d in dialogues for speaker in d.speakers()} == set(corpus.PERSONAS)


def test_no_slot_is_left_open() -> None:
    """No message shows a raw slot or an unsettled choice."""
    for dialogue in _dialogues(6):
        for message in dialogue.messages:
            assert not set("{}(|") & set(message.content), message.content
