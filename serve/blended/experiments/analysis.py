"""From an experiment's panel to its result: every number that the report shows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from blended.errors import NotEnoughData
from blended.experiments import curves
from blended.experiments.curves import CURVES, FEWEST_USERS, HISTORY, Curve, CurvePoint, RatioLine
from blended.experiments.definition import Definition
from blended.experiments.measures import GUARDRAILS, MEASURES, Measure
from blended.experiments.moments import Contrast, Moments
from blended.experiments.panel import ExperimentPanel
from blended.experiments.statistics import Estimate, difference, holm, level, sample_ratio_p

# A p value below this means a defect, not chance (as in GrowthBook).
MISMATCH_P = 0.001


@dataclass(frozen=True)
class Effect:
    """A measure of an arm against control's; `ratio` is on the log scale.

    `adjusted` tells whether users' history reduced the noise. `corrected_p` is corrected over all
    arms and goals, and None for guardrails.
    """

    arm: str
    measure: str
    control: Estimate
    test: Estimate
    ratio: Estimate
    adjusted: bool
    p: float
    corrected_p: float | None = None


@dataclass(frozen=True)
class Lines:
    """An arm's lines through the ratios of retention and engagement."""

    arm: str
    retention: RatioLine
    engagement: RatioLine


@dataclass(frozen=True)
class ExperimentResult:
    """The result of an experiment; `days` is the last day of its curves.

    If the numbers of users in the arms do not match their shares, `mismatch_p` is tiny and every
    comparison of arms is withheld. `missing` names the figures without enough data. `always_valid`
    means that the experiment still runs, so that p values allow looking at any time.
    """

    definition: Definition
    end_day: int
    users: Mapping[str, int]
    crossed: int
    known: int
    mismatch_p: float
    always_valid: bool
    days: int
    curves: Mapping[Curve, Mapping[str, list[CurvePoint]]]
    ratios: Mapping[Curve, Mapping[str, list[CurvePoint]]]
    lines: tuple[Lines, ...]
    effects: tuple[Effect, ...]
    missing: tuple[str, ...]

    @property
    def is_withheld(self) -> bool:
        """Whether the arms cannot be compared."""
        return self.mismatch_p < MISMATCH_P


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
    days = curves.days_known(list(moments.values()), panel.days)
    result = ExperimentResult(
        definition=definition,
        end_day=panel.end_day,
        users=users,
        crossed=panel.crossed,
        known=panel.known,
        mismatch_p=sample_ratio_p(counts, [arm.share for arm in definition.arms]),
        always_valid=now < definition.end,
        days=days,
        curves={c: {n: curves.points(m, c, days) for n, m in moments.items()} for c in CURVES},
        ratios={},
        lines=(),
        effects=(),
        missing=(),
    )
    return result if result.is_withheld else _compared(result, moments)


def _compared(result: ExperimentResult, moments: Mapping[str, Moments]) -> ExperimentResult:
    names = [name for name in moments if name != result.definition.control]
    control = moments[result.definition.control]
    pairs = {name: _Pair(name, moments[name], control, result) for name in names}
    missing, lines, effects = list[str](), list[Lines](), list[Effect]()
    for pair in pairs.values():
        with _collecting(missing):
            found = pair.lines()
            lines.append(found)
            effects += pair.of_lines(found)
        for measure in MEASURES:
            with _collecting(missing):
                effects.append(pair.effect(measure))
    ratios = {
        c: {n: curves.ratios(p.test, control, c, result.days) for n, p in pairs.items()}
        for c in CURVES
    }
    return replace(
        result,
        ratios=ratios,
        lines=tuple(lines),
        effects=_corrected(effects),
        missing=tuple(dict.fromkeys(missing)),
    )


@contextmanager
def _collecting(missing: list[str]) -> Iterator[None]:
    """Record a figure without enough data, and go on with the others."""
    try:
        yield
    except NotEnoughData as exc:
        missing.append(str(exc))


@dataclass(frozen=True)
class _Pair:
    """An arm beside control."""

    arm: str
    test: Moments
    control: Moments
    result: ExperimentResult

    def lines(self) -> Lines:
        """The lines through the ratios of the two curves.

        Raises:
            NotEnoughData: too few days are known.
        """
        retention, engagement = (
            curves.line(self.test, self.control, c, self.result.days, self._known(HISTORY[c]))
            for c in CURVES
        )
        return Lines(self.arm, retention, engagement)

    def of_lines(self, lines: Lines) -> list[Effect]:
        """What retention and engagement come to on the last day that is known, by the lines."""
        effects = []
        for curve, line in zip(CURVES, (lines.retention, lines.engagement), strict=True):
            adjusted = self._known(HISTORY[curve]) is not None
            effects.append(self._effect(curve, line.control, line.test, line.on_last, adjusted))
        return effects

    def effect(self, measure: Measure) -> Effect:
        """A measure against control's.

        Raises:
            NotEnoughData: too few users have a part in it.
        """
        arms = (self.control, self.test)
        columns = (measure.numerator, measure.denominator)
        fewest = min(arm.effective_users(column) for arm in arms for column in columns)
        if fewest < FEWEST_USERS:
            raise NotEnoughData(
                f"{measure.label}: the data of {fewest:.0f} users count in '{self.arm}' or in "
                f"control, and {FEWEST_USERS} are needed in each."
            )
        history = self._known(measure.history)
        ratio = difference(self.test, self.control, measure.contrast, history)
        if not ratio.se:
            raise NotEnoughData(
                f"{measure.label}: all users of '{self.arm}' and of control are the same in it as "
                "yet, so that nothing tells what chance would do."
            )
        control, test = (level(arm, measure.contrast) for arm in arms)
        return self._effect(measure.name, control, test, ratio, history is not None)

    def _effect(
        self, measure: str, control: Estimate, test: Estimate, ratio: Estimate, adjusted: bool
    ) -> Effect:
        p = ratio.p_value(self.result.always_valid)
        return Effect(self.arm, measure, control, test, ratio, adjusted, p)

    def _known(self, history: Contrast | None) -> Contrast | None:
        """What users did before, if enough users of both arms did anything."""
        arms = (self.control, self.test)
        enough = history is not None and all(
            arm.effective_users(column) >= FEWEST_USERS for arm in arms for column in history
        )
        return history if enough else None


def _corrected(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """The p values of all goals in all arms, corrected for their number."""
    goals = [effect for effect in effects if effect.measure not in GUARDRAILS]
    corrected = dict(zip(goals, holm([e.p for e in goals]), strict=True))
    return tuple(replace(effect, corrected_p=corrected.get(effect)) for effect in effects)


def _listed(users: Mapping[str, int]) -> str:
    return ", ".join(f"{arm} {count:,}" for arm, count in users.items())
