"""Counts in a warehouse: ibis writes the query, the backend runs it, only counts come back. One scan for hundreds of groups.

Every row names its cell in each group (`synth.cell_numbers`), these numbers are unnested into one column, and that column is counted:

    SELECT cell, COUNT(*) FROM (SELECT UNNEST([start_0 + stride . codes, start_1 + ..., ...]) AS cell FROM codes) GROUP BY cell

which is GROUPING SETS in SQL that every backend speaks, with one number as the key. Cells that no row hits are added from the schema, so
which cells are empty shows in no length. Codes are made by the backend too (`synth.ibis_codes`). Tested with DuckDB and Spark.

Cost: one scan when it is opened (checks, number of rows), and one for each 256 groups of a call; a scan handles rows x groups numbers,
and a CASE over the categories of each column. What comes back is one line a cell that a row hits. Where the rows are files or tables of a
DuckDB in this process, `synth.duckdb_counts` is several times faster.

Whatever the backend itself says, when its tables can't be read, is not ours to hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mechanisms.errors import MissingLibraryError
from synth.cell_numbers import CellNumbers
from synth.column_names import check_names
from synth.ibis_codes import codes, problem_message, problems
from synth.schema import Schema

if TYPE_CHECKING:
    import ibis.expr.types as ir  # type: ignore[import-untyped, unused-ignore]

GROUPS = 256  # in one query


class IbisCounts:
    """A table of ibis, in whatever backend, to be counted there.

    Parameters
    ----------
    table : a table expression; joins and filters in it are run by the backend.
    schema : public.
    ignore_extra : leave out columns that the schema doesn't have; else they are an error.

    Raises
    ------
    MissingLibraryError : ibis isn't installed.
    TypeError : no table of ibis.
    ValueError : what `synth.encode.encode` refuses, in the same words.

    Notes
    -----
    **Guarantee**: none; counts are exact and secret. One row changes one cell of each group by 1 (add/remove).

    Examples
    --------
    >>> import ibis
    >>> import pyarrow as pa
    >>> from synth.schema import Categorical, Ordinal
    >>> schema = Schema((Categorical("sex", ("f", "m")), Ordinal("grade", 1, 3)))
    >>> table = ibis.memtable(pa.table({"sex": ["f", "m", "f"], "grade": [2, 3, 9]}))
    >>> source = IbisCounts(table, schema)
    >>> source.n_rows, source.marginals([(0, 1)])[0].tolist()
    (3, [[0, 1, 1], [0, 0, 1]])
    """

    def __init__(self, table: ir.Table, schema: Schema, *, ignore_extra: bool = False) -> None:
        _check_table(table)
        check_names(table.columns, schema, ignore_extra=ignore_extra)
        self._table, self._schema = table, schema
        (found,) = problems(table, schema).to_pyarrow().to_pylist()
        self._n_rows = int(found.pop("n_rows"))
        if not self._n_rows:
            raise ValueError("the table has no rows")
        for column, problem in zip(schema, found.values(), strict=True):
            if problem:
                raise ValueError(problem_message(int(problem), column))

    @property
    def schema(self) -> Schema:
        """Return the public schema."""
        return self._schema

    @property
    def n_rows(self) -> int:
        """Return the exact number of rows: secret under add/remove neighbors."""
        return self._n_rows

    def marginals(self, groups: Sequence[tuple[int, ...]]) -> list[NDArray[np.int64]]:
        """Return the exact counts of each group of columns, shape (size of each column), by one scan for each 256 groups.

        Raises
        ------
        ValueError : a group whose columns don't increase or don't exist, or with more than 2^31 - 1 cells; a table that has changed since
            it was opened.
        """
        answers = []
        for first in range(0, len(groups), GROUPS):
            answers += self._scan(CellNumbers(groups[first : first + GROUPS], self._schema.sizes))
        if any(answer.sum() != self._n_rows for answer in answers):
            raise ValueError("the table has changed since it was opened; open it again")
        return answers

    def _scan(self, cells: CellNumbers) -> list[NDArray[np.int64]]:
        import ibis

        rows = codes(self._table, self._schema, cells.used or (0,))
        numbers = []
        for g, (group, start) in enumerate(zip(cells.groups, cells.starts[:-1], strict=True)):
            number = ibis.literal(start, "int64")
            for column, stride in zip(group, cells.strides(g), strict=True):
                number = number + rows[f"c{column}"] * stride
            numbers.append(number)
        found = rows.select(cell=ibis.array(numbers).unnest()).group_by("cell").aggregate(n=ibis._.count()).to_pyarrow()
        counts = np.zeros(cells.starts[-1], dtype=np.int64)
        counts[found["cell"].to_numpy()] = found["n"].to_numpy()
        return cells.split(counts)


def _check_table(table: object) -> None:
    try:
        import ibis.expr.types as ir
    except ModuleNotFoundError:
        raise MissingLibraryError('ibis is not installed; install it with: pip install "privacy-audit[ibis]"') from None
    if not isinstance(table, ir.Table):
        raise TypeError(f"table must be a table expression of ibis, got {type(table).__name__}")
