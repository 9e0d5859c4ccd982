"""The experiment and arm of a user: pure functions of hashes, sticky and without state.

Every router replica and every reader of the journal computes the same arm, because the hash is of
the user's pseudonym in the journal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from blended.config import Arm, Experiment
from blended.config.experiments import HOLDOUT
from blended.hashing import unit_interval


@dataclass(frozen=True)
class Assignment:
    """The assignment of a user: an arm of an experiment; the experiment None is the holdout."""

    experiment: str | None
    arm: str


def assign(
    experiments: Iterable[Experiment],
    holdout: float,
    user: str,
    at: float,
    since: float | None = None,
) -> Assignment | None:
    """The assignment of a user at a time in Unix seconds; None if no experiment takes the user.

    `since` is when the user came first, if that is known; without it the user counts as new.
    """
    if holdout and is_held_out(holdout, user):
        return Assignment(None, HOLDOUT)
    for experiment in experiments:
        if not experiment.start.timestamp() <= at < experiment.end.timestamp():
            continue
        if experiment.eligible == "new" and (at if since is None else since) < (
            experiment.start.timestamp()
        ):
            continue
        if is_in_slice(experiment, user):
            return Assignment(experiment.name, arm_of(experiment, user).id)
    return None


def is_held_out(holdout: float, user: str) -> bool:
    """Whether a user is in the holdout, which no experiment takes."""
    return unit_interval(HOLDOUT, user) < holdout


def is_in_slice(experiment: Experiment, user: str) -> bool:
    """Whether a user lies in an experiment's slice of its layer."""
    low, high = experiment.users
    return low <= unit_interval("layer", experiment.layer, user) < high


def arm_of(experiment: Experiment, user: str) -> Arm:
    """The arm that a user has in an experiment, if it takes them.

    It depends on the salt, the arms' order and their shares alone: experiments with other salts
    divide the same users independently.
    """
    position = unit_interval("arm", experiment.salt or experiment.name, user)
    bounds = list(accumulate(arm.share for arm in experiment.arms))
    # Rounding may leave a position beyond the last bound.
    pairs = zip(experiment.arms, bounds, strict=True)
    return next((a for a, bound in pairs if position * bounds[-1] < bound), experiment.arms[-1])
