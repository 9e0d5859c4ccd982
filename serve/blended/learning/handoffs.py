"""What each component gets out of what another has said: rewards by the component before.

Within a row, whose responses all follow on one component's, the present one was drawn at random, so
that a row's differences are effects. Rows differ also by who went on after that component.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from blended.experiments.moments import Moments
from blended.learning.decisions import Decisions
from blended.learning.drawing import weight_of_answer
from blended.learning.estimates import Value, covariance, ratio


@dataclass(frozen=True)
class Handoffs:
    """A reward's mean by the component before and the present one, where enough users are.

    `interaction_p` tests that every component does the same whichever was before: None where a cell
    has too few users.
    """

    reward: str
    components: tuple[str, ...]
    cells: Mapping[tuple[str, str], Value]
    interaction_p: float | None


def handoffs(decisions: Decisions, rewards: Sequence[str]) -> list[Handoffs]:
    """The matrix of each reward, over answered responses that follow on another.

    Only those that any of the components could have answered: others are other requests.
    """
    components = decisions.components
    following = decisions.of(
        lambda drawing: drawing.before is not None and drawing.available >= set(components)
    )
    moments = _moments(following, components, rewards)
    return [_matrix(moments, components, reward) for reward in rewards]


def _moments(decisions: Decisions, components: Sequence[str], rewards: Sequence[str]) -> Moments:
    columns = {}
    for before in components:
        for present in components:
            weights = [
                (weight_of_answer(drawing, {present: 1.0}) or 0.0) * (drawing.before == before)
                for drawing in decisions.drawings
            ]
            by_row = np.array(weights)[decisions.drawing] if weights else np.zeros(0)
            for name in ("responses", *rewards):
                weighted = by_row * decisions.column(name)
                columns[f"{before}.{present}.{name}"] = decisions.by_user(weighted)
    return Moments.of(tuple(columns), np.column_stack(list(columns.values())))


def _matrix(moments: Moments, components: tuple[str, ...], reward: str) -> Handoffs:
    pairs = [(before, present) for before in components for present in components]
    cells = {
        (before, present): ratio(
            moments, f"{before}.{present}.{reward}", f"{before}.{present}.responses"
        )
        for before, present in pairs
    }
    known = {pair: cell for pair, cell in cells.items() if cell.is_known}
    is_whole = len(known) == len(pairs) > 1
    return Handoffs(
        reward, components, known, _interaction(moments, cells, components) if is_whole else None
    )


def _interaction(
    moments: Moments, cells: Mapping[tuple[str, str], Value], components: tuple[str, ...]
) -> float:
    """The p value of no interaction: Wald's test of all contrasts with the first row and column."""
    pairs = list(cells)
    first, *others = components
    contrasts = np.array(
        [
            [
                (pair == (row, column))
                - (pair == (row, first))
                - (pair == (first, column)) * 1.0
                + (pair == (first, first))
                for pair in pairs
            ]
            for row in others
            for column in others
        ]
    )
    values = np.array([cells[pair].value for pair in pairs])
    between = np.array(
        [[covariance(moments, cells[a].slopes, cells[b].slopes) for b in pairs] for a in pairs]
    )
    estimates, spread = contrasts @ values, contrasts @ between @ contrasts.T
    statistic = float(estimates @ np.linalg.pinv(spread) @ estimates)
    return float(stats.chi2.sf(statistic, len(contrasts)))
