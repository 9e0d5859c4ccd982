"""The command line: valid options, or a sentence with the mistake."""

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import date

from blended.errors import ConfigError
from loadtests.studies.population.habits import ArmEffect

_EFFECTS = tuple(field.name for field in fields(ArmEffect))[1:]
_URL = re.compile(r"https?://[^/\s]+/?")


def parse(arguments: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    """The options; `arm` becomes effects, and `join_days` a number.

    Raises:
        ConfigError: options that do not go together, or impossible arms.
        SystemExit: anything else that argparse refuses, with status 2.
    """
    options = _parser(description).parse_args(arguments)
    options.arm = parse_arms(options.arm)
    if options.join_days is None:
        options.join_days = max(1, options.days // 5)
    if options.join_days > options.days:
        raise ConfigError(
            f"Users join on the first {options.join_days} of {options.days} days; "
            "give fewer --join-days or more --days."
        )
    driving = options.url, options.blend, options.day_s
    is_driving = all(driving) and not options.journal and not options.start
    if not is_driving and (any(driving) or not options.journal):
        raise ConfigError(
            "Give either --journal, with --start if you like, or all of --url, --blend and --day-s."
        )
    return options


def parse_arms(texts: Iterable[str]) -> tuple[ArmEffect, ...]:
    """Arms from texts like `control` and `blend:retention=1.15,engagement=1.1`.

    Raises:
        ConfigError: fewer than two arms, two of one name, or unknown effects.
    """
    arms = tuple(map(_arm, texts))
    if len(arms) < 2:
        raise ConfigError(
            "There are fewer than two arms; give --arm at least twice, the control first."
        )
    name, number = Counter(arm.name for arm in arms).most_common(1)[0]
    if number > 1:
        raise ConfigError(f"{number} arms are called '{name}'; give each a name of its own.")
    return arms


def _arm(text: str) -> ArmEffect:
    name, _, given = text.partition(":")
    values = dict[str, float]()
    for part in filter(None, given.split(",")):
        effect, _, number = part.partition("=")
        if effect not in _EFFECTS:
            raise ConfigError(
                f"The arm '{name}' has the unknown effect '{effect}'; "
                f"the effects are {', '.join(_EFFECTS)}."
            )
        values[effect] = _value(name, effect, number)
    return ArmEffect(name, **values)


def _value(arm: str, effect: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise ConfigError(
            f"The arm '{arm}' has {effect}={text}, which is no number; write {effect}=1.1."
        ) from exc


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.studies.population",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--arm", action="append", default=[], metavar="ID:EFFECT=X,…", help="the control first")
    add("--users", type=_positive, default=20_000)
    add("--days", type=_positive, default=35)
    add("--join-days", type=_positive, help="users join on so many first days (a fifth of all)")
    add("--experiment", default="population", metavar="NAME")
    add("--seed", type=_whole, default=1)
    add("--journal", metavar="URL", help="the database that is written to")
    add("--start", type=_day, metavar="DAY", help="day 0; without it the last day is yesterday")
    add("--url", type=_url, help="where the API answers, without a path")
    add("--blend", metavar="FILE", help="the blend that runs there")
    add("--day-s", type=_seconds, metavar="SECONDS", help="how long a simulated day lasts")
    return parser


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number")
    return int(text)


def _positive(text: str) -> int:
    if _whole(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds") from exc


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"'{text}' is no day like 2027-01-31") from exc


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no address like http://127.0.0.1:8000")
    return text
