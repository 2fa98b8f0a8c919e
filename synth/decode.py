"""Codes become a table again: every value lies in the cell of its code, so encoding the result gives the same codes.

A code is a cell, not a value; the value is drawn uniformly inside it (a real number, a whole one or a point in time), unless the table
brings positions. Types come from the schema, not from the rows: a nullable whole number is nullable even if no row is missing.

    column        pandas                                   Polars                        PyArrow
    text          str                                      String                        large_string
    whole number  int64, Int64 where nullable              Int64                         int64
    boolean       bool, boolean where nullable             Boolean                       bool
    Continuous    float64, NaN where missing               Float64                       double
    Datetime      datetime64[s], [ms], [us]; NaT           Date, Datetime[ms], [us]      date32, timestamp[s], [ms], [us]

Units of a day or more are dates; "h", "m", "s" have the resolution of a second. Guarantee: post-processing, it costs no privacy.
Cost: O(n d).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.errors import MissingLibraryError
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import one_of
from synth.cells import Values, cell_of_position, draw_value, is_numeric, position_of_value, value_of_position
from synth.encoded import Codes, EncodedTable, Positions
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Backend = Literal["pandas", "polars", "pyarrow"]
_TIME_TYPES = {"Y": "D", "M": "D", "W": "D", "D": "D", "h": "s", "m": "s", "s": "s", "ms": "ms", "us": "us"}


def decode(
    encoded: EncodedTable, schema: Schema, *, rng: RngLike = None, backend: Backend = "pandas"
) -> pd.DataFrame | pl.DataFrame | pa.Table:
    """Decode a table.

    Parameters
    ----------
    encoded : codes, and positions where values shall come from them; one outside the cell of its code gives the cell's nearest value.
    rng : draws values inside cells where there are no positions.
    backend : "pandas", "polars" or "pyarrow".

    Returns
    -------
    A table with the columns of the schema, in its order. `encode` of it has the same codes.

    Raises
    ------
    ValueError : codes that don't fit the schema, or an unknown backend.
    MissingLibraryError : the backend isn't installed.

    Examples
    --------
    >>> schema = Schema((Categorical("sex", ("f", "m"), nullable=True), Ordinal("age", 0, 99)))
    >>> decode(EncodedTable([[1, 30], [0, 7]]), schema, backend="pyarrow").to_pylist()
    [{'sex': 'f', 'age': 30}, {'sex': None, 'age': 7}]
    """
    one_of(("pandas", "polars", "pyarrow"), backend=backend)
    _check_codes(encoded.codes, schema)
    columns = []
    for place, (column, own) in enumerate(zip(schema, as_generator(rng).spawn(len(schema)), strict=True)):
        positions = None if encoded.positions is None else encoded.positions[:, place]
        columns.append(_decoded(encoded.codes[:, place], positions, column, own))
    import pyarrow as pa

    table = pa.table(columns, names=list(schema.names))
    return table if backend == "pyarrow" else _to_polars(table) if backend == "polars" else _to_pandas(table, schema)


def draw_positions(schema: Schema, codes: ArrayLike, rng: RngLike = None) -> Positions:
    """Draw positions inside the cells of codes, uniformly: of a real number, or of a whole one.

    Parameters
    ----------
    codes : (n, d).

    Returns
    -------
    (n, d) in [0, 1]; 0 where a value is missing or has no number. `codes_of` gives the codes back.

    Raises
    ------
    ValueError : codes that don't fit the schema.

    Examples
    --------
    >>> draw_positions(Schema((Ordinal("age", 0, 20, step=10, nullable=True),)), [[0], [3]], 7).tolist()
    [[0.0], [1.0]]
    """
    codes = np.asarray(codes, dtype=np.int32)
    _check_codes(codes, schema)
    positions = np.zeros(codes.shape)
    for place, (column, own) in enumerate(zip(schema, as_generator(rng).spawn(len(schema)), strict=True)):
        if isinstance(column, Categorical):
            continue
        missing, cells = _split(codes[:, place], column)
        positions[:, place] = np.where(missing, 0.0, position_of_value(column, draw_value(column, cells, own), cells))
    return positions


def codes_of(schema: Schema, positions: ArrayLike, codes: ArrayLike) -> Codes:
    """Return the codes of rows whose positions have moved; those of `encode` for its own positions.

    Parameters
    ----------
    positions : (n, d) in [0, 1].
    codes : (n, d) codes from before; they say which values are missing, and the codes of columns without numbers. Both stay.

    Raises
    ------
    ValueError : codes that don't fit the schema, or positions of another shape.

    Examples
    --------
    >>> schema = Schema((Categorical("sex", ("f", "m")), Continuous("dose", 0, 10, bins=4, nullable=True)))
    >>> codes_of(schema, [[0.0, 0.25], [0.0, 0.9]], [[1, 1], [0, 0]]).tolist()
    [[1, 2], [0, 0]]
    """
    moved = np.array(codes, dtype=np.int32)
    _check_codes(moved, schema)
    positions = np.asarray(positions, dtype=np.float64)
    if positions.shape != moved.shape:
        raise ValueError(f"positions must have the shape of codes, {moved.shape}, got {positions.shape}")
    for place, column in enumerate(schema):
        if is_numeric(column):
            moved[:, place] = codes_of_column(column, positions[:, place], _split(moved[:, place], column)[0])
    return moved


def codes_of_column(column: Column, positions: NDArray[np.float64], missing: NDArray[np.bool_] | bool = False) -> NDArray[np.int32]:
    """Return the codes of a numeric column's positions.

    Parameters
    ----------
    positions : (n,) in [0, 1].
    missing : (n,) which values are missing; their code is 0.

    Raises
    ------
    TypeError : the column is Categorical.
    """
    if isinstance(column, Categorical):
        raise TypeError(f"column {column.name!r} is Categorical; its values have no position")
    return np.where(missing, 0, cell_of_position(column, positions) + column.nullable).astype(np.int32)


def _check_codes(codes: Codes, schema: Schema) -> None:
    if codes.ndim != 2 or codes.shape[1] != len(schema):
        raise ValueError(f"codes must have a column for each of the schema's {len(schema)}, got shape {codes.shape}")
    for place, column in enumerate(schema):
        if len(codes) and not (codes[:, place].min() >= 0 and codes[:, place].max() < column.size):
            raise ValueError(f"codes of column {column.name!r} must lie between 0 and {column.size - 1}")


def _split(codes: NDArray[np.int32], column: Column) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Return which values are missing, and the cells of all; a missing one gets cell 0."""
    if not column.nullable:
        return np.zeros(len(codes), dtype=np.bool_), codes
    return codes == 0, np.maximum(codes - np.int32(1), 0)


def _decoded(codes: NDArray[np.int32], positions: NDArray[np.float64] | None, column: Column, rng: np.random.Generator) -> pa.Array:
    import pyarrow as pa

    missing, cells = _split(codes, column)
    if isinstance(column, Categorical):
        kind = {str: pa.large_string(), bool: pa.bool_(), int: pa.int64()}[type(column.labels[0])]
        return pa.array(column.labels, kind).take(pa.array(cells, mask=missing))
    values: Values = draw_value(column, cells, rng) if positions is None else value_of_position(column, positions, cells)
    if isinstance(column, Ordinal):
        return pa.array(values + np.int64(column.lower), mask=missing)
    if isinstance(column, Continuous):
        return pa.array(values, mask=missing)
    return _times(values, missing, column)


def _times(counts: Values, missing: NDArray[np.bool_], column: Datetime) -> pa.Array:
    import pyarrow as pa

    times = (counts + np.int64(column.count_bounds[0])).astype(f"datetime64[{column.unit}]")
    return pa.array(times.astype(f"datetime64[{_TIME_TYPES[column.unit]}]"), mask=missing)


def _to_polars(table: pa.Table) -> pl.DataFrame:
    try:
        import polars as pl
    except ImportError:
        raise MissingLibraryError("backend='polars' needs Polars: pip install polars") from None
    return pl.DataFrame(table)


def _to_pandas(table: pa.Table, schema: Schema) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError:
        raise MissingLibraryError("backend='pandas' needs pandas: pip install pandas") from None
    import pyarrow as pa

    text = {pa.large_string(): pd.StringDtype(na_value=np.nan)}
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    columns = {}
    for column in schema:
        types = text | nullable if column.nullable else text
        series = table.column(column.name).to_pandas(types_mapper=types.get, date_as_object=False)
        if isinstance(column, Datetime) and _TIME_TYPES[column.unit] == "D":
            series = series.astype("datetime64[s]")
        columns[column.name] = series
    return pd.DataFrame(columns)
