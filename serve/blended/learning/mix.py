"""The move of a day: from the journal to the next shares of a mix."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from blended.experiments.definition import Definition
from blended.experiments.mixes_over_time import InForce, drawn_mixes, in_force
from blended.journal.store import Store
from blended.learning import ascent
from blended.learning.ascent import Move, Rules
from blended.learning.evidence import Evidence, weigh_up
from blended.learning.mix_setting import Setting
from blended.learning.reading import Progress, read

# What is older counts for less than a sixtieth, and is not read.
HALF_LIVES = 6
# A mix that is in force for so much of a day may move: a daily schedule is never exact.
_DAY = 11 / 12


@dataclass(frozen=True)
class Proposal:
    """The move of a mix with what it stands on; times are Unix seconds.

    Responses from `since` until before `until` count, by age with a half-life in days.
    """

    setting: Setting
    reward: str
    rules: Rules
    half_life_days: float
    since: float
    until: float
    in_force: InForce
    evidence: Evidence
    move: Move


def propose(
    store: Store,
    definition: Definition,
    setting: Setting,
    reward: str,
    rules: Rules,
    half_life_days: float,
    since: float,
    now: float,
    progress: Progress,
    gpus: Mapping[str, float] | None = None,
) -> Proposal:
    """The move of now, from all that both arms drew since a time.

    Raises:
        ConfigError: the floor cannot be kept.
        JournalUnavailable: the database does not answer.
    """
    ascent.check(setting.shares, rules)
    day_s, adaptive = definition.day_s, setting.adaptive.id
    found = in_force(drawn_mixes(store, definition, adaptive, now), setting.shares)
    begin = max(
        since,
        definition.start,
        found.evidence_since or -math.inf,
        now - HALF_LIVES * half_life_days * day_s,
    )
    decisions = read(
        store, begin, now, progress, day_s, definition.name, half_life_s=half_life_days * day_s
    )
    names = tuple(setting.shares)
    evidence = weigh_up(decisions, reward, names, adaptive, setting.holdback.id, gpus)
    move = decide(setting.shares, evidence, rules, found, now, day_s)
    return Proposal(
        setting, reward, rules, half_life_days, begin, now - day_s, found, evidence, move
    )


def decide(
    shares: Mapping[str, float],
    evidence: Evidence,
    rules: Rules,
    found: InForce,
    now: float,
    day_s: float,
) -> Move:
    """The move, unless the records are wrong or the mix has moved less than a day ago.

    Back to uniform it goes at any time.
    """
    if evidence.faults:
        return Move("stay", shares, evidence.faults[0])
    move = ascent.next_mix(shares, evidence.pairs, rules, evidence.over_uniform)
    if move.kind != "step":
        return move
    if found.since is None:
        reason = "The adaptive arm has not drawn by the file's weights yet: they are to be applied."
        return Move("stay", shares, reason)
    if now - found.since < _DAY * day_s:
        at = datetime.fromtimestamp(found.since, UTC)
        reason = f"It moved less than a day ago: it draws by these shares since {at:%F %R} UTC."
        return Move("stay", shares, reason)
    return move
