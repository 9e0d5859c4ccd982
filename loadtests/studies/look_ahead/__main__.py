"""The time to the first token by turn: python -m loadtests.studies.look_ahead [--blend demo]

Three series on real vLLM, in turns: one component alone, the blend, and the blend with look-ahead.
Without `--blend demo` the components are Llamas of 53 million parameters with random weights, made
here. One conversation runs at a time, and a user thinks at least as long as a component reads.
Prints a table and, last, one line of JSON; `--save` keeps it, and a picture beside it.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loadtests.harness.percentiles import middle
from loadtests.harness.processes import Unavailable
from loadtests.harness.provenance import made_by
from loadtests.harness.start import up
from loadtests.harness.targets import Place
from loadtests.harness.timed_client import WORDS, MeasurementFailed, session
from loadtests.studies.look_ahead import picture, word_llama
from loadtests.studies.look_ahead.blends import COMPONENTS, Switch, demo_blend, words_blend
from loadtests.studies.look_ahead.talks import Shape, TimedTurn, talk

ALONE, BLEND, AHEAD = "one component alone", "the blend", "the blend with look-ahead"
_SHAPES = {"words": Shape(8, 50, 150, 4.0), "demo": Shape(8, 15, 40, 1.0)}
# The first turns have little to read.
_LATER = range(3, 9)

Series = dict[str, list[list[TimedTurn]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit status is 2 if nothing could be measured."""
    job = _options(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="ahead-") as folder, ExitStack() as stack:
            found = _measured(job, Path(folder), stack)
    except (Unavailable, MeasurementFailed) as exc:
        print(f"Not measured: {exc}", file=sys.stderr)
        return 2
    document = made_by("loadtests.studies.look_ahead") | _setting(job) | result(found)
    _print(document)
    if job.save:
        job.save.write_text(json.dumps(document, indent=1) + "\n")
        picture.save(job.save.with_suffix(".png"), document)
    print(json.dumps(document))
    return 0


def result(found: Series) -> dict[str, Any]:
    """Median milliseconds to the first token, by series and turn and over turns 3 to 8."""
    later = {name: _ttft_ms(talks, _LATER) for name, talks in found.items()}
    alone = later[ALONE]
    return {
        "ttft_ms_by_turn": {
            name: [_ttft_ms(talks, [turn]) for turn in range(1, len(talks[0]) + 1)]
            for name, talks in found.items()
        },
        "ttft_ms_turns_3_to_8": later,
        "over_one_component_alone": {
            name: round(value / alone, 3) for name, value in later.items() if value and alone
        },
        "uncached_prompt_tokens_per_turn": {
            name: _uncached(talks) for name, talks in found.items()
        },
    }


def _measured(job: argparse.Namespace, folder: Path, stack: ExitStack) -> Series:
    blend, words = demo_blend(), list(WORDS)
    if job.blend == "words":
        made = {name: word_llama.make(folder / name, i) for i, name in enumerate(COMPONENTS)}
        blend, words = words_blend(made), list(word_llama.WORDS)
    place = Place(folder, {})
    target, switch, rng = up(blend, place, stack), Switch(blend, place), random.Random(job.seed)
    found: Series = {ALONE: [], BLEND: [], AHEAD: []}

    async def talked(model: str) -> list[TimedTurn]:
        async with session(target["headers"]) as http:
            return await talk(
                http, target["url"], model, _SHAPES[job.blend], lambda: rng.choice(words), rng
            )

    names = [component["id"] for component in blend["components"]]
    for name in names:  # each engine's first request takes longer
        asyncio.run(talked(name))
    for number in range(job.rounds):
        for series in rng.sample(list(found), len(found)):
            switch.turn(series == AHEAD)
            model = names[number % len(names)] if series == ALONE else blend["name"]
            found[series].append(asyncio.run(talked(model)))
        print(f"round {number + 1}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    return found


def _ttft_ms(talks: Sequence[Sequence[TimedTurn]], turns: Sequence[int]) -> float:
    times = [t.response.first_s for turn in talks for t in turn if t.turn in turns]
    return round(1e3 * (middle(times) or 0.0), 1)


def _uncached(talks: Sequence[Sequence[TimedTurn]]) -> float:
    """The mean over the turns after the first."""
    later = [t.response for turns in talks for t in turns if t.turn > 1]
    return round(sum(r.prompt - r.cached for r in later) / len(later), 1)


def _setting(job: argparse.Namespace) -> dict[str, Any]:
    return {"blend": job.blend, "rounds": job.rounds, "seed": job.seed, **vars(_SHAPES[job.blend])}


def _print(document: dict[str, Any]) -> None:
    for series, by_turn in document["ttft_ms_by_turn"].items():
        turns = " ".join(f"{ms:7.1f}" for ms in by_turn)
        ratio = document["over_one_component_alone"].get(series)
        print(f"{series:28} {turns}   turns 3 to 8: {ratio} times one component alone")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.studies.look_ahead", description=__doc__
    )
    add = parser.add_argument
    add("--blend", choices=list(_SHAPES), default="words")
    add("--rounds", type=int, default=6, help="a conversation of each series in each of them")
    add("--seed", type=int, default=1)
    add("--save", type=Path, help="a file that keeps the result, with a picture beside it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
