"""Why an experiment takes no user at a time, or not a certain one, in words."""

from collections.abc import Iterable
from datetime import UTC, datetime

from blended.config import Experiment
from blended.experiments.assignment import is_held_out, is_in_slice


def of_everybody(experiments: Iterable[Experiment], holdout: float, at: float) -> list[str]:
    """A sentence for each experiment that does not run at a time, in Unix seconds."""
    sentences = [
        f"'{e.name}' enrols nobody at {_shown(at)}: it {reason}."
        for e in experiments
        if (reason := _not_running(e, at))
    ]
    if holdout:
        sentences.append(f"No experiment enrols the {holdout:.1%} of all users in the holdout.")
    return sentences


def of_user(experiments: Iterable[Experiment], holdout: float, user: str, at: float) -> str:
    """Why no experiment takes a user who comes first at that time; `user` is the pseudonym."""
    if is_held_out(holdout, user):
        return f"in the holdout of {holdout:.1%}"
    return "; ".join(f"'{e.name}' {_reason(e, user, at)}" for e in experiments)


def _reason(experiment: Experiment, user: str, at: float) -> str:
    if reason := _not_running(experiment, at):
        return reason
    if not is_in_slice(experiment, user):
        low, high = experiment.users
        return f"takes other users ({low:.0%} to {high:.0%} of layer '{experiment.layer}')"
    return "is not the first that takes this user"


def _not_running(experiment: Experiment, at: float) -> str:
    if at < experiment.start.timestamp():
        return f"begins on {experiment.start:%F %R} UTC"
    if at >= experiment.end.timestamp():
        return f"ended on {experiment.end:%F %R} UTC"
    return ""


def _shown(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%F %R} UTC"
