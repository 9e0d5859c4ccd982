"""Checks between the fields of the experiments in a blend's configuration."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from blended.config.experiments import HOLDOUT, NO_ARM, Experiment
from blended.config.inconsistency import Inconsistency, Path, error, is_number


def of_data(data: Mapping[str, Any], components: Sequence[str]) -> Iterator[Inconsistency]:
    """The contradictions in raw data; data with other mistakes are skipped."""
    given = data.get("experiments")
    rows = given if isinstance(given, list | tuple) else ()
    experiments = [(i, e) for i, e in enumerate(rows) if isinstance(e, Mapping)]
    names = Counter(e.get("name") for _, e in experiments if isinstance(e.get("name"), str))
    for index, experiment in experiments:
        path: Path = ("experiments", index)
        name = experiment.get("name")
        if isinstance(name, str) and names[name] > 1:
            message = f"{names[name]} experiments are called '{name}'; give each its own name"
            yield (*path, "name"), name, error(message)
        yield from _arms(path, experiment, components)
    journal = data.get("journal")
    if experiments and isinstance(journal, Mapping) and journal.get("enabled") is False:
        message = "experiments are read from the journal; enable it, or remove them"
        yield ("journal", "enabled"), False, error(message)


def _arms(
    path: Path, experiment: Mapping[str, Any], components: Sequence[str]
) -> Iterator[Inconsistency]:
    rows = experiment.get("arms")
    arms = [
        (i, a)
        for i, a in enumerate(rows if isinstance(rows, list | tuple) else ())
        if isinstance(a, Mapping)
    ]
    ids = Counter(a.get("id") for _, a in arms if isinstance(a.get("id"), str))
    control = experiment.get("control")
    if arms and isinstance(control, str) and control not in ids:
        message = f"there is no arm '{control}'; the arms are {', '.join(map(str, ids))}"
        yield (*path, "control"), control, error(message)
    for index, arm in arms:
        where = (*path, "arms", index)
        name = arm.get("id")
        if isinstance(name, str) and ids[name] > 1:
            message = f"{ids[name]} arms are called '{name}'; give each an id of its own"
            yield (*where, "id"), name, error(message)
        if name in (HOLDOUT, NO_ARM):
            message = f"'{name}' means users outside of every arm; call the arm something else"
            yield (*where, "id"), name, error(message)
        yield from _weights((*where, "weights"), arm.get("weights"), components)
        own = [field for field in ("weights", "policy") if arm.get(field) is not None]
        if arm.get("adaptive") is True and own:
            message = (
                "an adaptive arm has the blend's weights of the moment; remove its own "
                f"{' and '.join(own)}, or 'adaptive'"
            )
            yield (*where, "adaptive"), True, error(message)


def _weights(path: Path, weights: Any, components: Sequence[str]) -> Iterator[Inconsistency]:
    if not isinstance(weights, Mapping):
        return
    for name, weight in weights.items():
        if name not in components:
            message = f"there is no component '{name}'; the components are {', '.join(components)}"
            yield (*path, str(name)), weight, error(message)
    if all(is_number(w) and w == 0 for w in weights.values()):
        message = "an arm needs at least one component with a weight above 0"
        yield path, dict(weights), error(message)


def of_experiments(experiments: Sequence[Experiment]) -> Iterator[Inconsistency]:
    """The contradictions between the times and the slices of experiments."""
    for index, experiment in enumerate(experiments):
        low, high = experiment.users
        if low >= high:
            message = (
                f"the slice from {low:g} to {high:g} holds nobody; write an end above the start"
            )
            yield ("experiments", index, "users"), experiment.users, error(message)
        if experiment.start >= experiment.end:
            message = f"it ends at {experiment.end:%F %T}, not after its start; move one of them"
            yield ("experiments", index, "end"), experiment.end, error(message)
    for (_, one), (index, other) in combinations(enumerate(experiments), 2):
        if _share_users(one, other):
            message = (
                f"'{one.name}' takes some of the same users at the same time; give them slices "
                "apart, or another layer to one of them"
            )
            yield ("experiments", index, "users"), other.users, error(message)


def _share_users(one: Experiment, other: Experiment) -> bool:
    return (
        one.layer == other.layer
        and max(one.start, other.start) < min(one.end, other.end)
        and max(one.users[0], other.users[0]) < min(one.users[1], other.users[1])
    )
