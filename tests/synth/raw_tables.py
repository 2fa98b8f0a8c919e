"""Strategies for tables before they are encoded: columns of any declaration, types that may hold them, values that are hard to place."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from synth.cells import whole_span
from synth.counts import EncodedCounts
from synth.encode import encode
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema
from tests.synth.tables import columns

NAMES = ("x", "a b", 'quo"te', "semi;colon'--", "näme", "select", "0")
TIME_TYPES = {
    "day": pa.date32(),
    "s": pa.timestamp("s"),
    "ms": pa.timestamp("ms"),
    "us": pa.timestamp("us"),
    "ns": pa.timestamp("ns"),
}
TEXTS = st.one_of(
    st.sampled_from(["it's", 'a "b"', "a;b", "back\\slash", "line\nline", "{}", "%s", "?", "$1", " x ", "", "--", "\\'"]),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=4),
)


@st.composite
def raw_tables(draw: st.DrawFn, max_columns: int = 4, max_rows: int = 25) -> tuple[Schema, pa.Table]:
    """A schema and a table that `encode` takes."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=max_columns, unique=True))
    n_rows = draw(st.integers(1, max_rows))
    declared, arrays = zip(*(draw(raw_column(name, n_rows)) for name in names), strict=True)
    return Schema(tuple(declared)), pa.table(list(arrays), names=names)


@st.composite
def raw_column(draw: st.DrawFn, name: str, n_rows: int) -> tuple[Column, pa.Array]:
    """A column and values that it takes."""
    column = _with_few_codes(draw(st.one_of(columns(name), text_column(name))))
    values, kind = draw(_values(column))
    cells = st.one_of(st.none(), values) if column.nullable else values
    rows = draw(st.lists(cells, min_size=n_rows, max_size=n_rows))
    return column, pa.array(rows, kind)


@st.composite
def text_column(draw: st.DrawFn, name: str) -> Categorical:
    """Categories that are hard to quote."""
    categories = tuple(draw(st.lists(TEXTS, min_size=1, max_size=5, unique=True)))
    return Categorical(name, categories, other=draw(st.sampled_from([None, categories[0]])), nullable=draw(st.booleans()))


def groups_of(n_columns: int) -> list[tuple[int, ...]]:
    """All groups of up to two columns."""
    return [group for k in range(3) for group in combinations(range(n_columns), k)]


def in_memory(table: pa.Table, schema: Schema) -> EncodedCounts:
    """The oracle of counts made elsewhere."""
    return EncodedCounts(encode(table, schema), schema)


def _with_few_codes(column: Column) -> Column:
    """Take steps so wide that every pair of columns can be counted."""
    if isinstance(column, Ordinal | Datetime) and column.n_values > 30:
        return replace(column, step=whole_span(column) // 30 + 1)
    return column


def _values(column: Column) -> st.SearchStrategy[tuple[st.SearchStrategy[object], pa.DataType]]:
    if isinstance(column, Categorical):
        return _categories(column)
    if isinstance(column, Ordinal):
        return _whole(column)
    return _real(column) if isinstance(column, Continuous) else _times(column)


@st.composite
def _categories(draw: st.DrawFn, column: Categorical) -> tuple[st.SearchStrategy[object], pa.DataType]:
    listed: st.SearchStrategy[object] = st.sampled_from(column.labels)
    if isinstance(column.labels[0], bool):
        return listed, pa.bool_()
    if isinstance(column.labels[0], str):
        return (listed if column.other is None else st.one_of(listed, TEXTS)), draw(st.sampled_from([pa.string(), pa.large_string()]))
    kind = draw(st.sampled_from([pa.int64(), pa.float64()]))
    return (listed if column.other is None else st.one_of(listed, st.integers(-(2**50), 2**50))), kind


@st.composite
def _whole(draw: st.DrawFn, column: Ordinal) -> tuple[st.SearchStrategy[object], pa.DataType]:
    near = st.one_of(
        st.integers(column.lower, column.upper),
        st.sampled_from([column.lower - 1, column.lower, column.lower + column.step, column.upper, column.upper + 1]),
    )
    kind = draw(st.sampled_from([pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64(), pa.float64()]))
    if kind == pa.float64():
        return st.one_of(near, st.sampled_from([1e300, -1e300])).map(float), kind
    limits = np.iinfo(kind.to_pandas_dtype())
    return st.one_of(near, st.integers(int(limits.min), int(limits.max))).map(lambda x: min(max(x, int(limits.min)), int(limits.max))), kind


@st.composite
def _real(draw: st.DrawFn, column: Continuous) -> tuple[st.SearchStrategy[object], pa.DataType]:
    edges = [float(edge) for edge in column.all_edges]
    near = [float(np.nextafter(edge, side)) for edge in edges for side in (-np.inf, np.inf)]
    values = st.one_of(
        st.sampled_from(edges + near), st.floats(column.lower, column.upper), st.sampled_from([-1.7e308, 1.7e308, 0.0, -0.0])
    )
    if draw(st.booleans()) and max(abs(column.lower), abs(column.upper)) < 2**60:
        return values.map(lambda x: int(min(max(x, -(2.0**61)), 2.0**61))), pa.int64()
    return values, pa.float64()


@st.composite
def _times(draw: st.DrawFn, column: Datetime) -> tuple[st.SearchStrategy[object], pa.DataType]:
    """Whole counts of the type's unit; those of ns span 1700 to 2200 only."""
    unit = draw(st.sampled_from(list(TIME_TYPES)))
    per_day = {"day": 1, "s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}[unit]
    first, last = (-98_000, 84_000) if unit == "ns" else (-719_000, 2_932_000)
    lower, upper = (int(np.array(text, dtype="datetime64[D]").astype(np.int64)) for text in (column.lower, column.upper))
    days = st.one_of(st.integers(first, last), st.integers(lower - 1, upper + 1).map(lambda day: min(max(day, first), last)))
    counts = st.tuples(days, st.integers(0, per_day - 1)).map(lambda parts: parts[0] * per_day + parts[1])
    return counts, TIME_TYPES[unit]
