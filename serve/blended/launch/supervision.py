"""Starts a blend again when its cluster has ended by itself: with growing pauses, within a bound.

A cluster of one machine does not outlive its own store (GCS): Ray ends all of its processes then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from blended.errors import BlendedError, LaunchError

End = Literal["stopped", "lost"]


@dataclass(frozen=True)
class Patience:
    """The pause before a blend is started again, in seconds, and how often that is done at most.

    The pause doubles with every loss within `within_s`, of which the last `restarts` are mended.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    restarts: int = 5
    within_s: float = 600.0


def supervise(
    start: Callable[[], None],
    wait: Callable[[], End],
    report: Callable[[str], None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    patience: Patience = Patience(),
) -> None:
    """Start, and start again whenever `wait` returns "lost"; return when it returns "stopped".

    A start that fails is a loss too, but for the first. `clock` gives seconds that nobody sets.

    Raises:
        LaunchError: the first start failed, or there were too many losses in a short time.
    """
    start()
    lost = list[float]()
    while wait() == "lost":
        while True:
            lost = [at for at in lost if clock() - at < patience.within_s] + [clock()]
            if len(lost) > patience.restarts:
                raise LaunchError(_given_up(len(lost), patience))
            pause_s = min(patience.longest_s, patience.first_s * 2 ** (len(lost) - 1))
            report(f"the cluster has ended by itself; it is started again in {pause_s:g} s")
            sleep(pause_s)
            try:
                start()
                break
            except BlendedError as exc:
                report(f"it does not start: {exc}")


def _given_up(losses: int, patience: Patience) -> str:
    if not patience.restarts:
        return "The cluster has ended by itself; with --restart it would be started again."
    return (
        f"The cluster was lost {losses} times within {patience.within_s:g} s; it is not started "
        "again. See why it ends, then start it with 'blended up'."
    )
