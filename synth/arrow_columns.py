"""Any table as Arrow columns: pandas, Polars (lazy too), PyArrow and whatever else narwhals reads, or a dict of arrays.

Only the columns asked for are collected from a lazy table. The index of a pandas table is no column. Messages name columns, never values:
what Arrow says about a value that it can't convert is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth.column_names import check_distinct

if TYPE_CHECKING:
    import pyarrow as pa
    from narwhals.typing import IntoDataFrame, IntoLazyFrame, IntoSeries

    Table = IntoDataFrame | IntoLazyFrame | Mapping[str, ArrayLike | Sequence[object]]
    ColumnValues = IntoSeries | ArrayLike | Sequence[object]


def column_names(table: Table) -> tuple[str, ...]:
    """Return the names of a table's columns, in order.

    Raises
    ------
    TypeError : no table.
    ValueError : two columns of one name.
    """
    if isinstance(table, Mapping):
        return tuple(table)
    import narwhals as nw
    import pyarrow as pa

    try:
        return tuple(nw.from_native(table).collect_schema().names())
    except nw.exceptions.DuplicateError:
        names: Iterable[str] = table.column_names if isinstance(table, pa.Table) else getattr(table, "columns", ())
    except TypeError:
        raise TypeError(f"table must be of pandas, Polars or PyArrow, or a dict of arrays, got {type(table).__name__}") from None
    check_distinct(tuple(names))  # out here: what narwhals says of the table is dropped
    return tuple(names)


def arrow_columns(table: Table, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
    """Return columns of a table as Arrow arrays; NaN of pandas and numpy becomes null.

    Raises
    ------
    TypeError : no table.
    ValueError : a column isn't there, mixes types or has a type unknown to Arrow, or columns differ in length.
    """
    present = column_names(table)
    absent = [name for name in names if name not in present]
    if absent:
        raise ValueError(f"the table lacks column{'s' * (len(absent) > 1)} {', '.join(map(repr, absent))}")
    if isinstance(table, Mapping):
        columns = {name: arrow_column(table[name], name) for name in names}
        if len({len(column) for column in columns.values()}) > 1:
            raise ValueError("columns of the table differ in length")
        return columns
    import narwhals as nw

    frame = nw.from_native(table).select(*names)
    collected = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    return {name: arrow_column(collected[name].to_native(), name) for name in names}


def arrow_column(values: ColumnValues, name: str) -> pa.ChunkedArray:
    """Return one column as an Arrow array; errors as `arrow_columns`."""
    import narwhals as nw
    import pyarrow as pa

    try:
        series = nw.from_native(values, series_only=True, pass_through=True)
        if isinstance(series, nw.Series):
            column = series.to_arrow()
        elif isinstance(values, np.ndarray):
            column = _from_numpy(values)
        else:
            column = pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise ValueError(f"column {name!r} mixes types, or has a type that is no text, number, boolean, date or time") from None
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _from_numpy(values: NDArray[np.generic]) -> pa.Array:
    import pyarrow as pa

    if values.ndim != 1:
        raise ValueError("a column has one axis")
    if values.dtype.str[1:] in ("M8[h]", "M8[m]"):  # units that Arrow lacks
        values = values.astype("datetime64[s]")
    elif values.dtype.str[1:] in ("M8[Y]", "M8[M]", "M8[W]"):
        values = values.astype("datetime64[D]")
    return pa.array(values, from_pandas=True)
