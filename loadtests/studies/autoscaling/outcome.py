"""The outcome of a day: its responses, and the replica time."""

from collections import Counter
from dataclasses import dataclass, field

from cluster.capacity.queueing import ServiceLevel

IN_TIME = "in time"


@dataclass
class DayOutcome:
    """Responses by their ends, and the replicas: seconds of all, and how often Serve scaled.

    `asked_again` are the responses that the first replica did not give; `course` are the replicas
    by component, at seconds since the day began.
    """

    ends: Counter[str] = field(default_factory=Counter)
    asked_again: int = 0
    replica_s: float = 0.0
    ups: int = 0
    downs: int = 0
    course: list[tuple[float, dict[str, int]]] = field(default_factory=list)

    def end(self, ttft_s: float, itl_s: float, level: ServiceLevel) -> None:
        """Count a whole response by the seconds to its first token, and between tokens."""
        if ttft_s > level.ttft_s:
            self.ends["late"] += 1
        else:
            self.ends["slow" if itl_s > level.itl_s else IN_TIME] += 1

    @property
    def violations(self) -> float:
        """The share of all responses that were not in time, were refused or broke off."""
        return 1 - self.ends[IN_TIME] / self.ends.total()

    def figures(self) -> dict[str, float | int]:
        """The figures of the table, with their units."""
        bad = {f"{end}_responses": n for end, n in self.ends.items() if end != IN_TIME}
        return {
            "responses": self.ends.total(),
            "violations_percent": round(100 * self.violations, 4),
            **dict(sorted(bad.items())),
            "responses_asked_again": self.asked_again,
            "replica_hours": round(self.replica_s / 3600, 3),
            "scaled_up": self.ups,
            "scaled_down": self.downs,
        }
