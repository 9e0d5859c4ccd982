"""Single responses of an experiment's users: times to first bytes, and traces of lost records."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from blended.experiments.definition import Definition
from blended.experiments.moments import Array
from blended.experiments.user_days import Ints
from blended.journal import queries
from blended.journal.store import Store
from blended.journal.tables import responses

# Of more users than this a part is read, which their pseudonyms decide: hashes that no arm knows.
MOST_USERS = 20_000
_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True)
class CheckedResponses:
    """m responses: `user` (m,) as in the users' index, and what is known of each, shape (m,).

    `first_byte_s` is NaN where a request was refused.
    """

    user: Ints
    first_byte_s: Array
    has_parent: Array
    is_orphan: Array
    is_doubled: Array

    def of_users(self, place: Ints) -> "CheckedResponses":
        """The responses of those users whose place is not negative, numbered by it."""
        kept = place[self.user] >= 0
        columns = (self.first_byte_s, self.has_parent, self.is_orphan, self.is_doubled)
        return CheckedResponses(place[self.user][kept], *(column[kept] for column in columns))


NONE = CheckedResponses(np.empty(0, dtype=np.int64), *(np.empty(0) for _ in range(4)))


def read(
    store: Store, definition: Definition, end: float, index: Mapping[str, int]
) -> CheckedResponses:
    """The responses of all users, or of MOST_USERS of them, from the start until before `end`."""
    chosen = queries.checked_responses(definition.name, definition.start, end)
    if len(index) > MOST_USERS:
        chosen = chosen.where(responses.c.user <= sorted(index)[MOST_USERS - 1])
    batches = [
        np.array([(index.get(row[0], -1), *row[1:]) for row in rows], dtype=float)
        for rows in store.stream(chosen, _ROWS_AT_ONCE)
    ]
    if not batches:
        return NONE
    columns = np.concatenate(batches).T
    known = columns[0] >= 0
    user, *others = (column[known] for column in columns)
    return CheckedResponses(user.astype(np.int64), *others)
