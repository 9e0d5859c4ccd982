"""Small journals of random conversations, and what they say by plain loops."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from blended.journal.records import FeedbackRecord, ResponseRecord
from tests.journal.samples import response

DAY_S = 86_400.0
MIX = {"a": 0.5, "b": 0.25, "c": 0.25}
BEGIN = response(0).started_at


def conversations(users: int, rng: np.random.Generator, **fields: Any) -> list[ResponseRecord]:
    """Users who talk once each, some turns of which they have drawn again."""
    found = list[ResponseRecord]()
    for user in range(users):
        at, turn = BEGIN + float(rng.integers(0, 3600)), 1
        for _ in range(int(rng.integers(1, 9))):
            at += float(rng.choice([20, 200, 90_000], p=[0.8, 0.15, 0.05]))
            drawn = str(rng.choice(list(MIX), p=list(MIX.values())))
            found.append(_one(len(found), user, at, turn, drawn, rng, **fields))
            turn += bool(rng.random() < 0.8)
    return found


def _one(
    number: int,
    user: int,
    at: float,
    turn: int,
    drawn: str,
    rng: np.random.Generator,
    **fields: Any,
) -> ResponseRecord:
    record = response(
        number,
        user=f"{user:032x}",
        conversation=f"{user:032x}",
        started_at=round(at, 3),
        turn=turn,
        lineage=f"{user}-{turn}",
        parent=f"{user}-{turn - 1}" if turn > 1 else None,
        probabilities=MIX,
        distribution="mix",
        uniform=float(rng.random()),
        drawn=drawn,
        component=drawn,
        propensity=MIX[drawn],
        left=list(MIX),
        ttft_s=float(rng.random()),
        e2e_s=1.0,
    )
    return replace(record, **fields)


def thumbs(records: Iterable[ResponseRecord]) -> list[FeedbackRecord]:
    """Every third response gets one, in turn up and down."""
    return [
        FeedbackRecord(r.response_id, r.started_at, "thumb", r.started_at + 5, value=(-1.0) ** n)
        for n, r in enumerate(list(records)[::3])
    ]


def by_loop(
    records: Sequence[ResponseRecord], said: Sequence[FeedbackRecord], user: str, drawn: str
) -> dict[str, float]:
    """The sums of what a user did after one component, one response after the other."""
    sums = dict.fromkeys(("responses", "regenerated", "continued", "turns_ahead", "thumbs"), 0.0)
    its = [r for r in records if r.user == user]
    for one in its:
        if one.drawn != drawn:
            continue
        later = [r for r in its if one.started_at < r.started_at <= one.started_at + DAY_S]
        again = [r for r in later if r.lineage == one.lineage]
        following = [r for r in its if r.parent == one.lineage and r.started_at > one.started_at]
        ahead = max((r.turn for r in later), default=one.turn) - one.turn
        latest = not again or not following or again[0].started_at > following[0].started_at
        quick = following and following[0].started_at - one.started_at - one.e2e_s <= 180
        sums["responses"] += 1
        sums["regenerated"] += bool(again)
        sums["continued"] += bool(quick and latest)
        sums["turns_ahead"] += ahead
        sums["thumbs"] += sum(f.value or 0 for f in said if f.response_id == one.response_id)
    return sums
