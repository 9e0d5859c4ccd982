"""What a reader has to know beside the numbers: what is withheld, left out, cut or assumed."""

from collections.abc import Iterator, Sequence

from blended.experiments.analysis import ExperimentResult
from blended.experiments.enrolment import AROUND_THE_CLOCK, UNCAPPED
from blended.experiments.quality import TOLERATED, listed_days


def misfits(result: ExperimentResult) -> Iterator[str]:
    """The lines that do not fit, each with the days that lie off it."""
    for arm, lines in result.lines.items():
        for curve, line in lines.items():
            if not line.fit.is_good:
                days = _days(line.fit.off) or "together"
                yield (
                    f"The line through the ratios of {curve} of '{arm}' does not fit (p = "
                    f"{line.fit.p:.1g}; off it: {days}), so that its numbers are withheld. The "
                    "verdict does not need it."
                )


def _days(groups: Sequence[tuple[int, int]]) -> str:
    shown = (f"day {a}" if a == b else f"days {a} to {b}" for a, b in groups)
    return ", ".join(shown)


def notes(result: ExperimentResult) -> Iterator[str]:
    """What was left out, cut or changed."""
    panel = result.panel
    if result.quality.gaps:
        yield (
            f"No arm has any record on {listed_days(panel.definition, result.quality.gaps)}: these "
            "days count for nobody."
        )
    if min(result.quality.orphans.values()) > TOLERATED:
        listed = ", ".join(f"{part:.1%} in '{arm}'" for arm, part in result.quality.orphans.items())
        yield (
            f"Of the second turns of conversations many lack the record of the first: {listed}. "
            "Records of all arms are lost, so that sizes of effects may be wrong; or clients "
            "change what conversations begin with."
        )
    programs = {arm: users for arm, users in panel.left_out.programs.items() if users}
    if programs:
        listed = ", ".join(f"{users:,} in '{arm}'" for arm, users in programs.items())
        yield (
            f"Left out as programs: {listed}. They were in sessions for more than "
            f"{24 * AROUND_THE_CLOCK:.0f} hours of a day."
        )
    if panel.caps:
        yield (
            f"More than {panel.caps['active_s']:,.0f} seconds or {panel.caps['turns']:,.0f} "
            f"messages of a user on a day count as so many: {UNCAPPED:.1%} of all user-days, those "
            "of all arms together, are not above."
        )
    if result.is_over and result.always_valid:
        yield (
            "The experiment did not end as planned when it began, so that its intervals stay those "
            "that are always valid."
        )
