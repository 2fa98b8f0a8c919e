"""A table becomes codes, after the rules of its schema and nothing else.

Numbers are clipped into their bounds without a word: how many were is private. Bins are half-open, the last one closed on the right. A
category that is not listed becomes `other`, or is an error. Text is never parsed, a time zone never dropped, a fraction never rounded.
Errors name the column and what to do; they show no value of a row and no number of rows.

Codes and errors depend on private data: both stay where the table is. Only noisy counts leave (`synth.measure`).

Cost: O(n d), each column vectorized, one column's values in memory beside the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synth.arrow_columns import arrow_column, arrow_columns, column_names
from synth.cells import Values, cell_of_value, position_of_value
from synth.column_names import check_names
from synth.encoded import Codes, EncodedTable, Positions
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from synth.arrow_columns import ColumnValues, Table

_TIME_UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns")  # coarse to fine
_REMEDY = {
    "categorical": "convert the column, or declare categories of its type",
    "ordinal": "convert the column; text is not parsed",
    "continuous": "convert the column; text is not parsed",
    "datetime": "convert the column; text is not parsed",
}


def encode(table: Table, schema: Schema, *, positions: bool = False, ignore_extra: bool = False) -> EncodedTable:
    """Encode a table.

    Parameters
    ----------
    table : of pandas, Polars (lazy too) or PyArrow, or a dict of arrays; columns in any order, an index is ignored.
    schema : public.
    positions : also scale numbers to [0, 1], for queries that ask for more than codes.
    ignore_extra : leave out columns that the schema doesn't have; else they are an error.

    Returns
    -------
    Columns in the order of the schema, rows in that of the table.

    Raises
    ------
    TypeError : no table.
    ValueError : no row, a column that is missing, extra, or of another type than declared, a missing value where none may be, a category
        that is not listed, a number that is infinite, or has a fraction where whole numbers are declared.

    Guarantee
    ---------
    None by itself: each row is encoded on its own, so neighboring tables become neighboring encoded tables. The result is private.

    Examples
    --------
    >>> from synth.schema import Ordinal
    >>> schema = Schema((Categorical("sex", ("f", "m")), Ordinal("age", 0, 99, nullable=True)))
    >>> encode({"age": [30, None, 120], "sex": ["f", "m", "m"]}, schema).codes.tolist()
    [[0, 31], [1, 0], [1, 100]]
    """
    check_names(column_names(table), schema, ignore_extra=ignore_extra)
    columns = arrow_columns(table, schema.names)
    if not len(next(iter(columns.values()))):
        raise ValueError("the table has no rows")
    shape = (len(next(iter(columns.values()))), len(schema))
    codes = np.empty(shape, dtype=np.int32)
    scaled = np.zeros(shape) if positions else None
    for place, column in enumerate(schema):
        codes[:, place], column_positions = _encoded(columns[column.name], column, positions)
        if scaled is not None and column_positions is not None:
            scaled[:, place] = column_positions
    return EncodedTable(codes, scaled)


def encode_column(values: ColumnValues, column: Column) -> tuple[Codes, Positions]:
    """Encode one column; errors as `encode`.

    Parameters
    ----------
    values : a series of pandas or Polars, a PyArrow array, a numpy array or a list.

    Returns
    -------
    Codes (n,) and positions (n,): 0 where a value is missing or has no number.

    Examples
    --------
    >>> codes, positions = encode_column([0.0, 2.5, 10.0, 99.0], Continuous("dose", 0, 10, bins=4))
    >>> codes.tolist(), positions.tolist()
    ([0, 1, 3, 3], [0.0, 0.25, 1.0, 1.0])
    """
    codes, positions = _encoded(arrow_column(values, column.name), column, True)
    return codes, np.zeros(len(codes)) if positions is None else positions


def _encoded(values: pa.ChunkedArray, column: Column, with_positions: bool) -> tuple[Codes, Positions | None]:
    values = _without_odd_dictionary(values)
    missing = _missing(values)
    if missing.any() and not column.nullable:
        raise ValueError(f"column {column.name!r} has missing values; declare it nullable=True, or fill them in")
    if missing.all():  # such a column has no values whose type could be wrong
        return np.zeros(len(missing), dtype=np.int32), None
    positions = None
    if isinstance(column, Categorical):
        cells = _category_cells(values, column, missing)
    else:
        numbers = _numbers(values, column, missing)
        cells = cell_of_value(column, numbers)
        if with_positions:
            positions = np.where(missing, 0.0, position_of_value(column, numbers, cells))
    return np.where(missing, 0, cells + column.nullable).astype(np.int32), positions


def _without_odd_dictionary(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values plain, unless they have a dictionary of text without nulls, which is faster to look up."""
    from pyarrow import types

    if not types.is_dictionary(values.type):
        return values
    sound = _is_text(values.type.value_type) and not any(chunk.dictionary.null_count for chunk in values.chunks)
    return values if sound else values.cast(values.type.value_type)


def _missing(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    from pyarrow import compute, types

    nan_is_null = types.is_floating(values.type)
    return np.asarray(compute.is_null(values, nan_is_null=nan_is_null).to_numpy())


def _category_cells(values: pa.ChunkedArray, column: Categorical, missing: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the place of each value among the labels; unspecified where it is missing."""
    import pyarrow as pa
    from pyarrow import compute, types

    fits = {str: _is_text, bool: types.is_boolean, int: _is_number}[type(column.labels[0])]
    wanted = {str: pa.large_string(), bool: pa.bool_(), int: pa.float64()}[type(column.labels[0])]
    of_dictionary = types.is_dictionary(values.type)
    _check_type(values.type.value_type if of_dictionary else values.type, fits, column)
    labels = pa.array(column.labels, wanted)
    if of_dictionary:
        whole = values.unify_dictionaries().combine_chunks()
        found = _to_int32(compute.index_in(whole.dictionary.cast(wanted), labels))
        cells = np.take(found, np.asarray(compute.fill_null(whole.indices, 0)))
    else:
        cells = _to_int32(compute.index_in(values.cast(wanted, safe=False), labels))
    if ((cells < 0) & ~missing).any():
        if column.other is None:
            raise ValueError(
                f"column {column.name!r} holds a value that is not among its categories; list it, declare `other`, or buy the categories "
                "with `synth.domain`"
            )
        return np.where(cells < 0, np.int32(column.labels.index(column.other)), cells)
    return cells


def _numbers(values: pa.ChunkedArray, column: Ordinal | Continuous | Datetime, missing: NDArray[np.bool_]) -> Values:
    """Return the values of a numeric column as `synth.cells` has them, inside the bounds also where they are missing."""
    if isinstance(column, Datetime):
        return _clipped_counts(values, column, missing)
    from pyarrow import types

    _check_type(values.type, _is_number, column)
    if isinstance(column, Ordinal) and types.is_signed_integer(values.type):
        whole = np.asarray(_filled(values), dtype=np.int64)
        return np.clip(whole, column.lower, column.upper) - np.int64(column.lower)
    numbers = np.where(missing, column.lower, _filled(values.cast("float64", safe=False)))
    if not np.isfinite(numbers).all():
        raise ValueError(f"column {column.name!r} holds infinite numbers; replace them, or make them missing and declare it nullable=True")
    if isinstance(column, Continuous):
        return np.clip(numbers, column.lower, column.upper)
    if (numbers != np.floor(numbers)).any():
        raise ValueError(f"column {column.name!r} holds fractions; round them, or declare the column Continuous")
    return np.clip(numbers, column.lower, column.upper).astype(np.int64) - np.int64(column.lower)


def _clipped_counts(values: pa.ChunkedArray, column: Datetime, missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return whole counts of the unit since lower."""
    import pyarrow as pa
    from pyarrow import types

    _check_type(values.type, _is_time, column)
    if types.is_timestamp(values.type) and values.type.tz is not None:
        raise ValueError(f"column {column.name!r} has a time zone; convert it to times without one, all of the same zone")
    given = "D" if types.is_date32(values.type) else "ms" if types.is_date64(values.type) else values.type.unit
    lower, upper = np.array(column.count_bounds, dtype=f"datetime64[{column.unit}]")
    whole = values.cast(pa.int32()).cast(pa.int64()) if given == "D" else values.cast(pa.int64())
    times = _filled(whole).view(f"datetime64[{given}]")
    if _TIME_UNITS.index(given) < _TIME_UNITS.index(column.unit):  # clip before a finer unit overflows
        times = np.clip(times, lower.astype(times.dtype), upper.astype(times.dtype) + 1)
    counts = np.clip(times.astype(lower.dtype), lower, upper)
    return np.where(missing, 0, (counts - lower).astype(np.int64))


def _check_type(kind: pa.DataType, fits: Callable[[pa.DataType], bool], column: Column) -> None:
    if not fits(kind):
        content = {str: "text", int: "whole numbers", bool: "booleans"}[type(column.labels[0])] if isinstance(column, Categorical) else ""
        declared = f"{column.kind} of {content}" if content else column.kind
        raise ValueError(f"column {column.name!r} is declared {declared}, and holds {kind}; {_REMEDY[column.kind]}")


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types

    return any(check(kind) for check in (types.is_string, types.is_large_string, types.is_string_view))


def _is_number(kind: pa.DataType) -> bool:
    from pyarrow import types

    return any(check(kind) for check in (types.is_integer, types.is_floating, types.is_decimal))


def _is_time(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_date(kind) or types.is_timestamp(kind))


def _to_int32(found: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
    from pyarrow import compute

    return np.asarray(compute.fill_null(found, -1), dtype=np.int32)


def _filled(values: pa.ChunkedArray) -> NDArray[np.generic]:
    from pyarrow import compute

    return np.asarray(compute.fill_null(values, 0))
