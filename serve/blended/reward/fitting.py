"""Fits the small reward model to examples, and scores each with a model that has not seen its user.

A pair adds log(1 + exp(s(rejected) - s(kept))) to the loss (Bradley and Terry 1952), with weight 1.
A thumb adds the logistic loss of its answer, with weight 1 and an intercept of its own; so does an
answer without a thumb, by whether the user wrote two more messages, with a weight of a tenth, and
all of these together with a quarter of the pairs' weight at most: there are many of them, and they
say more about a conversation than about one answer. s is linear in the features. Beside them it has
the answer's length and its component, which explain what they can and are left out of the scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

from blended.errors import NotEnoughData
from blended.reward.examples import FOLDS, HELD_OUT, Answer, Examples, fold
from blended.reward.features import DIMENSIONS, RELATIONS, features
from blended.reward.gates import Gate, judge
from blended.reward.linear import LinearReward
from blended.reward.scored import Scored

# Of the penalty on the squares of weights, from which the held-out users choose.
STRENGTHS = (0.5, 2.0, 8.0, 32.0)
_POINT, _POINTS = 0.1, 0.25
# What is left out of scores is hardly punished: it has to explain all that it can.
_LOOSE = 1e-3
_SCORED = DIMENSIONS + len(RELATIONS)
_WORDS_UNIT = 25.0
_STEPS = 200

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class Fitted:
    """A model that has not seen the users of the fold HELD_OUT, and the gates over all folds."""

    model: LinearReward
    gates: tuple[Gate, ...]
    strength: float


@dataclass(frozen=True)
class _Problem:
    """Logistic regression without a target of its own: every row should be above 0.

    `matrix` has a row for each pair and then for each point, negative for a bad one; `weight` and
    `fold` are those of the rows. `sides` has the answers of the pairs, rejected and kept.
    """

    matrix: Any
    weight: Floats
    fold: NDArray[np.int64]
    pairs: int
    sides: tuple[Any, Any]

    def solve(self, rows: Rows, strength: float, start: Floats | None = None) -> Floats:
        """The weights of all columns, fitted to some rows, by L-BFGS."""
        matrix, weight = self.matrix[rows], self.weight[rows]
        transposed = matrix.T.tocsr()
        penalty = np.full(matrix.shape[1], _LOOSE)
        penalty[:_SCORED] = strength

        def loss(at: Floats) -> tuple[float, Floats]:
            margins = matrix @ at
            errors = weight / (1 + np.exp(np.minimum(margins, 500)))
            total = weight @ np.logaddexp(0, -margins) + penalty @ at**2 / 2
            return float(total), penalty * at - transposed @ errors

        begin = np.zeros(matrix.shape[1]) if start is None else start
        options = {"maxiter": _STEPS, "maxfun": 2 * _STEPS}
        found: Floats = minimize(loss, begin, jac=True, method="L-BFGS-B", options=options).x
        return found

    def held_out_loss(self, fold: int, at: Floats) -> float:
        """The mean loss of the pairs of a fold."""
        rows = self.fold[: self.pairs] == fold
        return float(np.logaddexp(0, -(self.matrix[: self.pairs][rows] @ at)).mean())

    def scores(self, at: Floats) -> Floats:
        """Of all pairs, rejected and kept, shape (pairs, 2)."""
        return np.column_stack([side[:, :_SCORED] @ at[:_SCORED] for side in self.sides])


def fit(examples: Examples, about: Mapping[str, Any]) -> Fitted:
    """The model, and what it shows on users that it has not seen: those of each fold in turn.

    `about` is kept with the model.

    Raises:
        NotEnoughData: there are too few users.
    """
    if len({fold(pair.user) for pair in examples.pairs}) < FOLDS:
        raise NotEnoughData(
            f"{examples.users} users have had an answer drawn again and kept another one; a model "
            f"is fitted to some users and judged by others, for which some dozens are needed."
        )
    problem = _problem(examples)
    apart = problem.fold != HELD_OUT
    solved, at = dict[float, Floats](), None
    # From the strongest penalty on, each begins where the one before has ended.
    for strength in sorted(STRENGTHS, reverse=True):
        at = solved[strength] = problem.solve(apart, strength, at)
    best = min(solved, key=lambda strength: problem.held_out_loss(HELD_OUT, solved[strength]))
    scores = problem.scores(solved[best])
    for other in set(range(FOLDS)) - {HELD_OUT}:
        theirs = problem.fold[: problem.pairs] == other
        again = problem.solve(problem.fold != other, best, solved[best])
        scores[theirs] = problem.scores(again)[theirs]
    gates = judge(Scored.of(examples.pairs, scores))
    weights = solved[best][:_SCORED].astype(np.float32)
    model = LinearReward(weights[:DIMENSIONS], weights[DIMENSIONS:], about)
    return Fitted(model, gates, best)


def evaluate(model: LinearReward, examples: Examples) -> tuple[Gate, ...]:
    """What a model shows on examples; only for those that it was not fitted to this is fair."""
    scores = [model.scores((p.rejected.text, p.kept.text)) for p in examples.pairs]
    return judge(Scored.of(examples.pairs, np.array(scores).reshape(-1, 2)))


def _problem(examples: Examples) -> _Problem:
    pairs, points = examples.pairs, examples.points
    answers = _matrix([*examples.answers()])
    rejected, kept = (answers[side : 2 * len(pairs) : 2] for side in (0, 1))
    thumbs = np.array([point.sign == "thumb" for point in points], dtype=bool)
    signs = np.array([1.0 if point.is_good else -1.0 for point in points])
    intercepts = sparse.csr_matrix(np.column_stack([thumbs, ~thumbs]).astype(float))
    alone = sparse.hstack([answers[2 * len(pairs) :], intercepts])
    none = sparse.csr_matrix((len(pairs), 2))
    matrix = sparse.vstack(
        [sparse.hstack([kept - rejected, none]), sparse.diags_array(signs) @ alone]
    )
    one = min(_POINT, _POINTS * len(pairs) / max(1, len(points) - thumbs.sum()))
    weight = np.concatenate([np.ones(len(pairs)), np.where(thumbs, 1.0, one)])
    users = [*(pair.user for pair in pairs), *(point.user for point in points)]
    folds = np.array([fold(user) for user in users], dtype=np.int64)
    return _Problem(matrix.tocsr(), weight, folds, len(pairs), (rejected, kept))


def _matrix(answers: Sequence[Answer]) -> Any:
    """A row for each answer: its features, its length, and a column for each component."""
    components = sorted({answer.component for answer in answers})
    width = _SCORED + 1 + len(components)
    columns, values, ends = list[NDArray[np.int64]](), list[Floats](), [0]
    for answer in answers:
        found = features(answer.text)
        own = _SCORED + 1 + components.index(answer.component)
        columns += [found.places, np.array([*range(DIMENSIONS, _SCORED + 1), own])]
        rest = (*found.relations, found.words / _WORDS_UNIT, 1.0)
        values += [np.ones(len(found.places)), np.array(rest)]
        ends.append(ends[-1] + len(found.places) + len(rest))
    return sparse.csr_matrix(
        (np.concatenate(values), np.concatenate(columns), np.array(ends)), (len(answers), width)
    )
