"""What a family of queries is: counts of the rows that satisfy public 0/1 conditions.

A *workload* is declared without a table (`Marginals(k=2)`); bound to a schema it becomes a *family*: a list of n_queries conditions, each
of which a row meets or doesn't. The answer of a query is the number of rows that meet it. All that
a mechanism must know of a family is its L2 sensitivity; all that an optimizer must know is which queries a row meets.

A family of one's own needs the members of `QueryFamily` and nothing else. `positions` is None where the table has none (a family that
reads positions says so by `needs_positions`).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mechanisms.guarantee import Neighboring
from synth.encoded import Codes, EncodedTable, Positions
from synth.schema import Schema


@runtime_checkable
class QueryFamily(Protocol):
    """n_queries 0/1 conditions on the rows of one schema's tables."""

    @property
    def n_queries(self) -> int:
        """Return T."""
        ...

    @property
    def is_partition(self) -> bool:
        """Say whether each row meets exactly one query: the answers then sum to n."""
        ...

    @property
    def needs_positions(self) -> bool:
        """Say whether `row_answers` reads positions."""
        ...

    def sensitivity(self, neighboring: Neighboring) -> float:
        """Return the L2 sensitivity of all answers together, in counts."""
        ...

    def answers(self, table: EncodedTable) -> NDArray[np.float64]:
        """Return the T counts, shape (T,)."""
        ...

    def row_answers(self, codes: Codes, positions: Positions | None) -> NDArray[np.bool_]:
        """Return which of the T queries each of m rows meets, shape (m, T)."""
        ...


class Workload(Protocol):
    """Queries declared without a table."""

    def bind(self, schema: Schema) -> QueryFamily:
        """Return the family for a schema, or raise ValueError where it doesn't fit."""
        ...
