"""An experiment: whose responses are drawn from which selection distribution, and when."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from blended.config.base import Frozen, Identifier, Moment, Seconds, Share, Weight
from blended.config.best_of import BestOf
from blended.config.policies import Policy

# Values of records and metrics in place of an arm: for users kept out of every experiment, and for
# responses without an experiment.
HOLDOUT, NO_ARM = "holdout", "none"


class Arm(Frozen):
    """A part of an experiment's users, and the selection distribution that answers them.

    `share` is the part in proportion to the other arms' shares. A component that `weights` does not
    name is never drawn; without weights the arm has the blend's own distribution, and without
    `per_conversation` the blend's own number of seats. A `policy` draws among the components with a
    weight; an arm without weights and without a policy has the blend's own. `best_of` stands in
    place of that of every component; 1 means a single candidate. An `adaptive` arm has the blend's
    weights of the moment, which may move while the experiment runs: what is compared is the
    procedure.
    """

    id: Identifier
    share: Annotated[float, Field(gt=0, le=1e9)] = 1
    weights: Mapping[str, Weight] | None = None
    per_conversation: Annotated[int, Field(ge=1, le=100)] | None = None
    best_of: BestOf | None = None
    policy: Policy | None = None
    adaptive: bool = False


class Rehearsal(Frozen):
    """The users are simulated, and a day of theirs lasts `day_s`; every report says so."""

    day_s: Annotated[float, Field(ge=1, le=86_400)] = 86_400


Guardrail = Literal[
    "ttft",
    "ttft_p50",
    "ttft_p95",
    "failures",
    "prompt_tokens",
    "response_tokens",
    "engine_seconds",
    "repetition",
]


class Experiment(Frozen):
    """A selection distribution for each arm of users, from `start` until before `end`.

    A hash gives each user a place between 0 and 1 in the experiment's `layer`, and `users` is the
    experiment's slice of it. Experiments of one layer have separate slices; a slice that grows at
    its end moves no user to another arm. If experiments of several layers take a user, the first
    one in the file decides. A hash with `salt` (by default the experiment's name) decides a user's
    arm. `eligible: new` leaves out users that came before the start.

    A session ends when a user does nothing for `session_gap_s`, and counts on the day on which it
    began. Days begin at midnight in the zone that is `utc_offset_h` ahead of UTC.

    `guardrails` are margins: how much worse an arm may be than control for the report to call it
    ready to ship. 0.1 is a tenth of control's value; for `failures` 0.01 is one response in a
    hundred.
    """

    name: Identifier
    salt: str | None = None
    layer: Identifier = "default"
    users: tuple[Share, Share] = (0, 1)
    eligible: Literal["all", "new"] = "all"
    start: Moment
    end: Moment
    control: Identifier
    arms: Annotated[tuple[Arm, ...], Field(min_length=2)]
    session_gap_s: Seconds = 1800
    utc_offset_h: Annotated[float, Field(ge=-12, le=14)] = 0
    guardrails: Mapping[Guardrail, Annotated[float, Field(gt=0, le=10)]] = {}
    rehearsal: Rehearsal | None = None
