"""From an experiment's panel to its result: every number that the report shows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from blended.errors import NotEnoughData
from blended.experiments import curves
from blended.experiments.curves import CURVES, HISTORY, Curve, CurvePoint, RatioLine, RatioPoint
from blended.experiments.effects import Effect, Pair, quantile_effect
from blended.experiments.measures import GUARDRAILS, MEASURES, QUANTILES
from blended.experiments.moments import Moments
from blended.experiments.panel import ExperimentPanel
from blended.experiments.quality import Quality, check
from blended.experiments.shares import FEWEST_USERS
from blended.experiments.statistics import holm


@dataclass(frozen=True)
class ExperimentResult:
    """The result of an experiment; `days` is the last day of its curves.

    If the data has a fault, every comparison of arms is withheld. `lines` are those through the
    ratios, by arm and curve. `missing` names the figures without enough data. `always_valid` means
    that the experiment still runs, or did not end as planned, so that p values allow looking at any
    time.
    """

    panel: ExperimentPanel
    users: Mapping[str, int]
    quality: Quality
    always_valid: bool
    is_over: bool
    days: int
    curves: Mapping[Curve, Mapping[str, list[CurvePoint]]]
    ratios: Mapping[Curve, Mapping[str, list[RatioPoint]]]
    lines: Mapping[str, Mapping[Curve, RatioLine]]
    effects: tuple[Effect, ...]
    missing: tuple[str, ...]

    @property
    def is_withheld(self) -> bool:
        """Whether the arms cannot be compared."""
        return bool(self.quality.faults)


def analyse(panel: ExperimentPanel, now: float) -> ExperimentResult:
    """The result of an experiment.

    Raises:
        NotEnoughData: no day is over, or an arm has no user.
    """
    definition, counts = panel.definition, panel.counts()
    names = [arm.id for arm in definition.arms]
    users = dict(zip(names, counts, strict=True))
    if min(counts) < FEWEST_USERS:
        raise NotEnoughData(
            f"The arms of '{definition.name}' have {_listed(users)} users by the last day that is "
            f"over, and each needs {FEWEST_USERS} at least; wait, or enrol more users."
        )
    moments = dict(zip(names, panel.moments(), strict=True))
    result = ExperimentResult(
        panel=panel,
        users=users,
        quality=check(panel),
        always_valid=now < definition.end or not panel.ran_as_planned,
        is_over=now >= definition.end,
        days=panel.days,
        curves={
            c: {n: curves.points(m, c, panel.days) for n, m in moments.items()} for c in CURVES
        },
        ratios={},
        lines={},
        effects=(),
        missing=(),
    )
    return result if result.is_withheld else _compared(result, moments)


def _compared(result: ExperimentResult, moments: Mapping[str, Moments]) -> ExperimentResult:
    control = moments[result.panel.definition.control]
    pairs = {
        name: Pair(name, of, control, result.always_valid)
        for name, of in moments.items()
        if of is not control
    }
    missing = list[str]()
    effects = [effect for pair in pairs.values() for effect in _effects(result, pair, missing)]
    return replace(
        result,
        ratios={
            c: {n: curves.ratios(p.test, control, c, result.days) for n, p in pairs.items()}
            for c in CURVES
        },
        lines={name: _lines(result, pair, missing) for name, pair in pairs.items()},
        effects=_corrected(effects),
        missing=tuple(dict.fromkeys(missing)),
    )


def _effects(result: ExperimentResult, pair: Pair, missing: list[str]) -> Iterator[Effect]:
    for measure in MEASURES:
        with _collecting(missing):
            yield pair.effect(measure)
    for name in QUANTILES:
        with _collecting(missing):
            yield quantile_effect(result.panel, pair.arm, name, pair.always_valid)


def _lines(result: ExperimentResult, pair: Pair, missing: list[str]) -> dict[Curve, RatioLine]:
    """The lines of an arm through the ratios of both curves."""
    found = dict[Curve, RatioLine]()
    for curve in CURVES:
        with _collecting(missing):
            history = pair.known(HISTORY[curve])
            found[curve] = curves.line(pair.test, pair.control, curve, result.days, history)
    return found


@contextmanager
def _collecting(missing: list[str]) -> Iterator[None]:
    """Record a figure without enough data, and go on with the others."""
    try:
        yield
    except NotEnoughData as exc:
        missing.append(str(exc))


def _corrected(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """The p values of all goals in all arms, corrected for their number."""
    goals = [effect for effect in effects if effect.measure not in GUARDRAILS]
    corrected = dict(zip(goals, holm([e.p for e in goals]), strict=True))
    return tuple(replace(effect, corrected_p=corrected.get(effect)) for effect in effects)


def _listed(users: Mapping[str, int]) -> str:
    return ", ".join(f"{arm} {count:,}" for arm, count in users.items())
