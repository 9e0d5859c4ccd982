"""The users' habits: conversations drawn from a small file of means and shares.

    python -m loadtests.users.people [FILE]

checks a file and prints it as JSON, which Locust reads without PyYAML. The shipped people.yaml has
every key; a file of your own needs only the different ones. No pydantic, because a Locust pod has
none.
"""

import json
import math
import random
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).with_name("people.yaml")
SHARES = ("streamed", "regenerated", "abandoned", "returning", "direct")
# A returning user is one of the last users; a prompt has a maximum of words.
_REMEMBERED, _MOST_WORDS = 1000, 2000
_WORDS = (
    *("sun", "rain", "tea", "friends", "music", "work", "dreams", "summer", "home", "books"),
    *("cats", "walks", "bread", "winter", "trains", "gardens", "letters", "stars"),
)


@dataclass(frozen=True)
class People:
    """The habits of users, as people.yaml explains them.

    Raises:
        ValueError: a number is impossible.
    """

    turns: float
    think_s: float
    words: float
    words_spread: float
    streamed: float
    regenerated: float
    abandoned: float
    abandoned_tokens: float
    returning: float
    direct: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            low, high = _bounds(name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not low <= value <= high:
                raise ValueError(f"{name} is {value!r}; it must be a number {_words(low, high)}.")

    @property
    def responses(self) -> float:
        """The mean number of responses in a conversation."""
        return self.turns * (1 + self.regenerated)


@dataclass(frozen=True)
class Ask:
    """One request for a response: a new message, or none to regenerate the last response.

    It is sent `at_s` after the conversation's beginning if that is given, but never before the
    previous response has ended. The stream is closed after `leave_after` tokens; then comes the
    pause.
    """

    text: str
    streamed: bool
    leave_after: int | None = None
    pause_s: float = 0.0
    at_s: float | None = None


@dataclass(frozen=True)
class Conversation:
    """The requests of one user to one model, in order."""

    id: str
    user: str
    model: str
    asks: tuple[Ask, ...]


def conversations(
    people: People, rng: random.Random, models: Sequence[str]
) -> Iterator[Conversation]:
    """Conversations without end; the first of the models is the blend, the others components.

    Equal seeds give equal conversations.
    """
    known = deque[str](maxlen=_REMEMBERED)
    while True:
        comes_back = rng.random() < people.returning and known
        user = rng.choice(known) if comes_back else f"{rng.getrandbits(64):016x}"
        if not comes_back:
            known.append(user)
        is_direct = rng.random() < people.direct and len(models) > 1
        model = rng.choice(models[1:]) if is_direct else models[0]
        yield Conversation(f"{rng.getrandbits(128):032x}", user, model, tuple(_asks(people, rng)))


def ask(people: People, rng: random.Random, turn: int) -> Ask:
    """A message, the form of its answer, and the pause after it."""
    streamed = rng.random() < people.streamed
    leaves = rng.random() < people.abandoned and streamed
    leave_after = geometric(people.abandoned_tokens, rng) if leaves else None
    pause_s = rng.expovariate(1 / people.think_s) if people.think_s else 0.0
    return Ask(_message(people, rng, turn), streamed, leave_after, pause_s)


def geometric(mean: float, rng: random.Random) -> int:
    """A number >= 1 with the given mean, by inversion of the geometric distribution."""
    if mean <= 1:
        return 1
    return 1 + int(math.log(1 - rng.random()) / math.log(1 - 1 / mean))


def load(path: Path | None = None) -> People:
    """The people of a file (YAML, or JSON by its suffix), over those that are shipped.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no mapping, has an unknown key or an impossible number, or is YAML where
            there is no PyYAML.
    """
    return _load(path or SHIPPED)


@cache
def _load(path: Path) -> People:
    known = {field.name for field in fields(People)}
    values = _mapping(path)
    for name in values:
        if name not in known:
            raise ValueError(f"{path}: {name!r} is unknown; there are {', '.join(sorted(known))}.")
    if values.keys() != known:
        values = _mapping(SHIPPED) | values
    try:
        return People(**values)
    except ValueError as exc:
        raise ValueError(f"{path}: {exc}") from exc


def _mapping(path: Path) -> dict[str, Any]:
    text = path.read_text()
    try:
        values = json.loads(text) if path.suffix == ".json" else _yaml(text, path)
    except RecursionError:
        raise ValueError(f"{path} is nested too deep; it must be one mapping of numbers.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} must be a mapping such as 'turns: 5', not {values!r}.")
    return values


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError as exc:
        command = f"python -m loadtests.users.people {path} > people.json"
        raise ValueError(f"There is no PyYAML to read {path}; where there is: {command}") from exc
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ValueError(f"{path} is not YAML: {exc}") from exc


def _bounds(name: str) -> tuple[float, float]:
    if name in SHARES:
        return 0, 1
    return {"think_s": 0, "words_spread": 0}.get(name, 1), math.inf


def _words(low: float, high: float) -> str:
    return f"from {low} on" if high == math.inf else f"between {low} and {high}"


def _asks(people: People, rng: random.Random) -> Iterator[Ask]:
    for turn in count():
        yield ask(people, rng, turn)
        if rng.random() < people.regenerated:
            yield replace(ask(people, rng, turn), text="")
        if rng.random() < 1 / people.turns:
            return


def _message(people: People, rng: random.Random, turn: int) -> str:
    """A user's words; the conversations of two users differ from their first message on."""
    opening = "Hello, let us talk about" if turn == 0 else "And what about"
    length = rng.lognormvariate(math.log(people.words), people.words_spread)
    topics = round(min(length, _MOST_WORDS)) - len(opening.split())
    return " ".join([opening, *rng.choices(_WORDS, k=max(1, topics))])


def main(arguments: Sequence[str]) -> int:
    """Print a file of people as JSON; returns the exit status."""
    try:
        people: Mapping[str, Any] = asdict(load(Path(arguments[0]) if arguments else None))
    except (OSError, ValueError) as exc:
        print(exc, file=sys.stderr)
        return 2
    print(json.dumps(people))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
