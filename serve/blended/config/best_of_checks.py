"""Checks between the reward model and the candidates that it chooses among, on the raw data.

The data may have other mistakes, which are reported elsewhere: every check skips unusable data.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from blended.config.inconsistency import Inconsistency, Path, error, is_number
from blended.config.reward import RewardModel
from blended.internal import REWARD

Rows = list[tuple[int, Mapping[str, Any]]]

_TOKENS = RewardModel.model_fields["tokens"].default


def of_data(data: Mapping[str, Any], rows: Rows) -> Iterator[Inconsistency]:
    """Every contradiction; `rows` are the components that can be read, with their places."""
    has_reward = data.get("reward") is not None
    for index, component in rows:
        path: Path = ("components", index)
        if has_reward and component.get("id") == REWARD:
            message = f"'{REWARD}' is the name of the reward model; give the component another id"
            yield (*path, "id"), REWARD, error(message)
        yield from _alone((*path, "best_of"), component, has_reward)
        yield from _early((*path, "best_of"), component.get("best_of"), [component])
    for path, arm in _arms(data):
        drawn = [c for _, c in rows if _is_drawn(c, arm.get("weights"))]
        yield from _alone((*path, "best_of"), arm, has_reward)
        yield from _early((*path, "best_of"), arm.get("best_of"), drawn)
    yield from _window(data.get("reward"))


def member(data: Mapping[str, Any]) -> tuple[Path, Mapping[str, Any]] | None:
    """The reward model's raw data like a component's, with its place; None if there is none."""
    reward = data.get("reward")
    return (("reward",), {**reward, "id": REWARD}) if isinstance(reward, Mapping) else None


def _arms(data: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for i, experiment in _mappings(data.get("experiments")):
        for k, arm in _mappings(experiment.get("arms")):
            yield ("experiments", i, "arms", k), arm


def _mappings(rows: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for index, row in enumerate(rows if isinstance(rows, list | tuple) else ()):
        if isinstance(row, Mapping):
            yield index, row


def _is_drawn(component: Mapping[str, Any], weights: Any) -> bool:
    name = component.get("id")
    return not isinstance(weights, Mapping) or (isinstance(name, str) and bool(weights.get(name)))


def _alone(path: Path, owner: Mapping[str, Any], has_reward: bool) -> Iterator[Inconsistency]:
    """Candidates among which nothing would choose."""
    given = owner.get("best_of")
    count: Any = given.get("k") if isinstance(given, Mapping) else given
    if not has_reward and is_number(count) and count > 1:
        message = "no reward model chooses among the candidates; add 'reward' to the blend"
        yield path, given, error(message)


def _early(path: Path, given: Any, drawn: list[Mapping[str, Any]]) -> Iterator[Inconsistency]:
    if not isinstance(given, Mapping) or given.get("early") is None:
        return
    for component in drawn:
        name = component.get("id")
        if component.get("kind") == "remote":
            message = (
                f"'{name}' is a remote API, which cannot go on with a response that has begun; "
                "leave early out"
            )
            yield (*path, "early"), given["early"], error(message)
        elif _reasons(component):
            message = (
                f"'{name}' thinks before it answers, so that its first tokens are no response; "
                "leave early out"
            )
            yield (*path, "early"), given["early"], error(message)


def _reasons(component: Mapping[str, Any]) -> bool:
    engine = component.get("engine")
    args = engine.get("args") if isinstance(engine, Mapping) else None
    return isinstance(args, Mapping) and bool(args.get("reasoning_parser"))


def _window(reward: Any) -> Iterator[Inconsistency]:
    """More tokens than the engine takes: it would refuse every request."""
    engine = reward.get("engine") if isinstance(reward, Mapping) else None
    longest: Any = engine.get("max_model_len") if isinstance(engine, Mapping) else None
    tokens: Any = reward.get("tokens", _TOKENS) if isinstance(reward, Mapping) else None
    if is_number(longest) and is_number(tokens) and tokens > longest:
        message = (
            f"the last {tokens} tokens are scored, and the engine takes {longest} "
            f"(max_model_len); write tokens: {longest} or less, or raise max_model_len"
        )
        yield ("reward", "tokens"), tokens, error(message)
