"""What a family of queries is: counts of the rows that satisfy public 0/1 conditions.

A *workload* is declared without a table (`Marginals(k=2)`); bound to a schema it becomes a *family*: a list of n_queries conditions, each
of which a row meets or doesn't. The answer of a query is the number of rows that meet it. All that
a mechanism must know of a family is its L2 sensitivity; all that an optimizer must know is which queries a row meets.

A family of one's own needs the members of `QueryFamily` and nothing else. `positions` is None where the table has none (a family that
reads positions says so by `needs_positions`). Parity of two columns, for example:

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Parity:
    ...     pairs: tuple[tuple[int, int], ...]
    ...     is_partition = False
    ...     needs_positions = False
    ...     @property
    ...     def n_queries(self):
    ...         return len(self.pairs)
    ...     def sensitivity(self, neighboring):
    ...         return len(self.pairs) ** 0.5  # no row moves an answer by more than 1, whichever the relation
    ...     def answers(self, table):
    ...         return self.row_answers(table.codes, table.positions).sum(0).astype(float)
    ...     def row_answers(self, codes, positions):
    ...         return np.stack([(codes[:, i] + codes[:, j]) % 2 == 1 for i, j in self.pairs], axis=1)
    >>> isinstance(Parity(((0, 1),)), QueryFamily)
    True

The genetic algorithm (`synth.genetic`) fits any family. Where conditions are thresholds on sums over columns, the family may say so by the
members of `AdditiveFamily`; the faster move engine (`synth.moves`) then takes it. All families of this package do.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mechanisms.guarantee import Neighboring, valid_neighboring
from synth.cells import is_numeric
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


@runtime_checkable
class AdditiveFamily(QueryFamily, Protocol):
    """Queries of the form: a row meets q if the sum over its columns of V[column, value, q] is at most t_q.

    A halfspace is one as it stands. So is any conjunction of conditions on single columns: V counts the conditions that the value
    breaks, and t = 1/2.
    """

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Return t, shape (T,)."""
        ...

    def touched(self, column: int) -> NDArray[np.intp]:
        """Return the queries that read a column, increasing."""
        ...

    def contributions(self, column: int, codes: NDArray[np.int32], positions: NDArray[np.float64] | None) -> NDArray[np.float32]:
        """Return V of m values of a column for the queries that read it, shape (m, len(touched(column)))."""
        ...


class Workload(Protocol):
    """Queries declared without a table."""

    def bind(self, schema: Schema) -> QueryFamily:
        """Return the family for a schema, or raise ValueError where it doesn't fit."""
        ...


def counting_relation(neighboring: Neighboring) -> Neighboring:
    """Return the relation if sensitivities of counts are known for it.

    Raises
    ------
    ValueError : ZERO_OUT; a table has no null record.
    TypeError : it is no `Neighboring`.
    """
    if valid_neighboring(neighboring) is Neighboring.ZERO_OUT:
        raise ValueError("neighboring must be add_remove or replace, got zero_out; a table has no null record")
    return neighboring


def chosen_columns(schema: Schema, columns: tuple[str, ...] | None, *, numeric: bool = False) -> tuple[int, ...]:
    """Return the places of named columns, increasing; None stands for all of them (all numeric ones).

    Raises
    ------
    ValueError : a name is unknown or comes twice, or a column without numbers is named where they are needed.
    """
    has_numbers = [is_numeric(column) for column in schema]
    if columns is None:
        return tuple(place for place in range(len(schema)) if has_numbers[place] or not numeric)
    places = sorted(schema.index(name) for name in columns)
    for place in places:
        if places.count(place) > 1:
            raise ValueError(f"columns: {schema.names[place]!r} is listed twice")
        if numeric and not has_numbers[place]:
            raise ValueError(f"columns: {schema.names[place]!r} is categorical and has no order; name numeric columns only")
    return tuple(places)
