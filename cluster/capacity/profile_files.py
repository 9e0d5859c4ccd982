"""The profile of one replica of a component: a small file with measurements and their provenance.

`python -m cluster.capacity.profile` measures it, `python -m cluster.capacity.predict` predicts one.
Prompts were new to the engine, so their tokens are those that it computes: in a conversation, the
tokens of a turn that its prefix cache does not hold.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.optimize import nnls

from blended.config import AnyComponent, Frozen, RemoteComponent
from blended.config.loading import decoded, parse_as
from blended.errors import ConfigError
from cluster.capacity.queueing import Curve, Lengths, LinearTime

FOLDER = Path(__file__).with_name("profiles")

Positive = Annotated[float, Field(gt=0)]


class Times(Frozen):
    """The mean and the 99th percentile over responses, in seconds."""

    mean: Positive
    p99: Positive


class LoadLevel(Frozen):
    """One level of load: a constant number of concurrent responses.

    `itl_s` is, for each response, the mean between its tokens; `per_s` are responses per second;
    `responses` is how many were measured, 0 where all of this is predicted.
    """

    running: Annotated[int, Field(ge=1)]
    prompt: Positive
    response: Annotated[float, Field(gt=1)]
    responses: Annotated[int, Field(ge=0)]
    ttft_s: Times
    itl_s: Times
    per_s: Positive


class Profile(Frozen):
    """One replica of a component: what it is, how the figures came about, and the figures."""

    component: str
    made_by: Mapping[str, str]
    serves: Mapping[str, Any]
    points: Annotated[tuple[LoadLevel, ...], Field(min_length=3)]

    @model_validator(mode="after")
    def _has_levels_and_prompts(self) -> "Profile":
        if len({point.running for point in self.points}) < 2:
            raise ValueError("a profile needs points of two levels of load at the least")
        if len({round(point.prompt) for point in self.points}) < 2:
            raise ValueError("a profile needs points of two lengths of prompts at the least")
        return self

    @property
    def predicted(self) -> bool:
        """Whether it is predicted: then the spread is unknown, and p99 is the mean."""
        return any(point.responses == 0 for point in self.points)

    def curve(self) -> Curve:
        """The lines through the points, by least squares of relative errors without negative parts.

        A response's own prompt delays its first token; all running prompts delay the tokens after
        it.
        """
        running = np.array([float(point.running) for point in self.points])
        prompts = np.array([point.prompt for point in self.points])
        ones, nothing = np.ones_like(prompts), np.zeros_like(prompts)
        first = (ones, running, prompts, nothing)
        between = (ones, running, nothing, running * prompts)
        return Curve(
            ttft=_line(first, [point.ttft_s.mean for point in self.points]),
            ttft_p99=_line(first, [point.ttft_s.p99 for point in self.points]),
            itl=_line(between, [point.itl_s.mean for point in self.points]),
            itl_p99=_line(between, [point.itl_s.p99 for point in self.points]),
            most=max(point.running for point in self.points),
        )


# vLLM's arguments that say how a response is read, after it has been generated.
PARSERS = ("enable_auto_tool_choice", "tool_call_parser", "reasoning_parser")


def served(component: AnyComponent) -> dict[str, Any]:
    """The settings of a component that decide the speed of one replica.

    Raises:
        ConfigError: it is a remote component.
    """
    if isinstance(component, RemoteComponent):
        raise ConfigError(f"Component '{component.id}' is remote: it has no replicas here.")
    # A replica's place, Ray's CPU count for it and its words do not change its speed.
    apart = {"replica_group", "cpus", "seed", "quality"}
    found = component.hardware.model_dump(mode="json", exclude=apart, exclude_none=True)
    if "args" in found:
        found["args"] = {name: v for name, v in found["args"].items() if name not in PARSERS}
    return {"kind": component.kind} | found


def load_all(components: Sequence[AnyComponent], folder: Path, blend: str) -> dict[str, Profile]:
    """The profiles of a blend's components, by component id, from `<id>.json` in a folder.

    Raises:
        ConfigError: some are missing, wrong, or of another engine; the message names all of them,
            each with the command that makes it.
    """
    found, missing = dict[str, Profile](), list[str]()
    for component in components:
        try:
            found[component.id] = load(component, folder, blend)
        except ConfigError as exc:
            missing.append(str(exc))
    if missing:
        raise ConfigError("\n".join(missing))
    return found


def load(component: AnyComponent, folder: Path, blend: str = "FILE") -> Profile:
    """The profile of a component, from `<id>.json` in a folder; `blend` is its file, for errors.

    Raises:
        ConfigError: there is none, it is wrong, or it is one of another engine.
    """
    path = folder / f"{component.id}.json"
    command = f"python -m cluster.capacity.profile {component.id} --blend {blend} --out {path}"
    try:
        found = parse_as(Profile, decoded(path.read_bytes(), str(path)), str(path))
    except OSError as exc:
        raise ConfigError(
            f"There is no profile of component '{component.id}' ({path}); make one: {command}"
        ) from exc
    wanted = served(component)
    if dict(found.serves) != wanted:
        keys = sorted(k for k in {**found.serves, **wanted} if found.serves.get(k) != wanted.get(k))
        raise ConfigError(
            f"The profile '{path}' is of another engine than that of component '{component.id}' "
            f"({', '.join(keys)} differ); make a new one: {command}"
        )
    return found


def refuse_other_lengths(component: str, profile: Profile, lengths: Lengths) -> None:
    """Refuse lengths that are far from the measured ones.

    Raises:
        ConfigError: one is more than twice the longest or less than half of the shortest.
    """
    measured = {
        "prompt": [p.prompt for p in profile.points],
        "response": [p.response for p in profile.points],
    }
    for name, found in measured.items():
        wanted, least, most = getattr(lengths, name), min(found) / 2, max(found) * 2
        if not least <= wanted <= most:
            raise ConfigError(
                f"The profile of '{component}' knows {name}s of {least:.0f} to {most:.0f} tokens, "
                f"and {wanted:g} are asked for; measure it with such."
            )


def _line(columns: Sequence[NDArray[np.float64]], values: Sequence[float]) -> LinearTime:
    rows = np.array(columns).T / np.array(values)[:, None]
    found, _ = nnls(rows, np.ones(len(values)))
    return LinearTime(*(float(value) for value in found))
