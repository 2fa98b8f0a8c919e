"""Decoding: values lie in the cell of their code for every library, uniformly; positions and codes agree; types come from the schema."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from mechanisms.errors import MissingLibraryError
from synth.cells import value_of_position
from synth.decode import Backend, codes_of, codes_of_column, decode, draw_positions
from synth.encode import encode
from synth.encoded import EncodedTable
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema
from tests.synth.tables import EVERY_KIND, columns, random_codes

FALSE_ALARM = 1e-6
BACKENDS: tuple[Backend, ...] = ("pandas", "polars", "pyarrow")


def some_codes(column: Column, seed: int) -> np.ndarray:
    ends = [0, column.size - 1, column.size // 2]
    return np.append(ends, np.random.default_rng(seed).integers(0, column.size, 20)).astype(np.int32)[:, None]


@given(columns(), st.sampled_from(BACKENDS), st.integers(0, 2**32))
def test_codes_come_back(column: Column, backend: Backend, seed: int):
    schema, codes = Schema((column,)), some_codes(column, seed)
    table = decode(EncodedTable(codes), schema, rng=seed, backend=backend)
    assert np.array_equal(encode(table, schema).codes, codes)


@given(columns(), st.sampled_from(BACKENDS), st.integers(0, 2**32))
def test_codes_come_back_by_positions(column: Column, backend: Backend, seed: int):
    schema, codes = Schema((column,)), some_codes(column, seed)
    positions = draw_positions(schema, codes, seed)
    assert positions.min() >= 0
    assert positions.max() <= 1
    assert np.array_equal(codes_of(schema, positions, codes), codes)
    encoded = encode(decode(EncodedTable(codes, positions), schema, backend=backend), schema, positions=True)
    assert np.array_equal(encoded.codes, codes)
    assert np.array_equal(codes_of(schema, np.asarray(encoded.positions), codes), codes)


@given(columns(), st.integers(0, 2**32))
def test_positions_at_the_ends_of_cells(column: Column, seed: int):
    """Positions of the optimizers' own, edges and their neighbors included: the decoded value has the position's code."""
    if isinstance(column, Categorical):
        with pytest.raises(TypeError, match="no position"):
            codes_of_column(column, np.zeros(1))
        return
    rng = np.random.default_rng(seed)
    positions = np.concatenate([rng.random(20), [0.0, 1.0, 0.5], rng.integers(0, 100, 20) / 100])
    if isinstance(column, Continuous):
        edges = np.array(column.all_edges)
        scaled = (edges - edges[0]) / (edges[-1] - edges[0])
        positions = np.concatenate([positions, scaled, np.nextafter(scaled, 0), np.nextafter(scaled, 1)])
    codes = codes_of_column(column, positions)[:, None]
    table = decode(EncodedTable(codes, positions[:, None]), Schema((column,)), backend="pyarrow")
    assert np.array_equal(encode(table, Schema((column,))).codes, codes)


@pytest.mark.parametrize(
    "column", [Ordinal("n", -(2**50), 2**50, step=2**21), Datetime("t", "1970-01-01", "2041-01-01", unit="us", step=2**21)]
)
def test_whole_numbers_are_exact_at_the_largest_span(column: Ordinal | Datetime, rng: np.random.Generator):
    """k / span * span is within 1/2 of k: checked where rounding is worst."""
    from synth.cells import position_of_value, whole_span

    span = whole_span(column)
    k = np.concatenate([span - np.arange(1000), rng.integers(0, span, 100_000), np.arange(1000)])
    cells = (k // column.step).astype(np.int32)
    assert np.array_equal(value_of_position(column, position_of_value(column, k, cells), cells), k)


def test_values_of_positions_are_the_values():
    """A position that encode gave decodes to the number it came from, up to rounding; whole numbers and times exactly."""
    schema = Schema(
        (Ordinal("n", 0, 10**6, step=1000), Continuous("x", -3, 9), Datetime("t", "2020-01-01", "2021-01-01", unit="s", step=3600))
    )
    rng = np.random.default_rng(0)
    times = np.datetime64("2020-01-01", "s") + rng.integers(0, 31_000_000, 500)
    given_table = pd.DataFrame({"n": rng.integers(0, 10**6, 500), "x": rng.uniform(-3, 9, 500), "t": times})
    table = decode(encode(given_table, schema, positions=True), schema)
    assert isinstance(table, pd.DataFrame)
    pd.testing.assert_frame_equal(table, given_table, rtol=1e-14, atol=1e-14)


def test_positions_outside_the_cell_give_its_nearest_value():
    schema = Schema((Ordinal("n", 0, 9, step=5), Continuous("x", 0, 1, bins=2)))
    table = decode(EncodedTable([[0, 0], [1, 1]], [[1.0, 1.0], [0.0, 0.0]]), schema, backend="pyarrow")
    assert table.to_pydict() == {"n": [4, 5], "x": [np.nextafter(0.5, 0), 0.5]}


def test_values_are_uniform_in_their_cell():
    """False alarm 1e-6 each; values from the middle half of the cell fail."""
    schema = Schema((Continuous("x", 0, 8, bins=4), Ordinal("n", 0, 11, step=10)))
    table = decode(EncodedTable(np.tile([2, 0], (20_000, 1))), schema, rng=None, backend="pyarrow")
    x, n = table["x"].to_numpy(), table["n"].to_numpy()
    assert kstest(x, "uniform", (4, 2)).pvalue > FALSE_ALARM
    assert kstest(4.5 + (x - 4) / 2, "uniform", (4, 2)).pvalue < FALSE_ALARM
    assert chisquare(np.bincount(n, minlength=10)).pvalue > FALSE_ALARM
    assert chisquare(np.bincount(np.minimum(n, 8), minlength=10)).pvalue < FALSE_ALARM
    last = decode(EncodedTable(np.tile([3, 1], (1000, 1))), schema, backend="pyarrow")["n"].to_numpy()
    assert set(last) == {10, 11}  # the last cell is shorter


def test_drawn_positions_are_uniform_on_whole_numbers():
    """False alarm 1e-6; real positions fail."""
    schema = Schema((Ordinal("n", 0, 10, step=5, nullable=True),))
    positions = draw_positions(schema, np.full((20_000, 1), 1), None)[:, 0]
    whole = np.rint(positions * 10)
    assert np.allclose(whole, positions * 10)
    assert chisquare(np.bincount(whole.astype(int), minlength=5)).pvalue > FALSE_ALARM
    assert chisquare(np.bincount(np.rint(np.random.default_rng(0).random(20_000) * 4).astype(int), minlength=5)).pvalue < FALSE_ALARM


TYPES = {
    "pandas": [
        *("str", "int64", "Int64", "bool", "boolean", "int64", "Int64"),
        *("float64", "float64", "datetime64[s]", "datetime64[us]", "datetime64[s]"),
    ],
    "polars": [
        *(pl.String, pl.Int64, pl.Int64, pl.Boolean, pl.Boolean, pl.Int64, pl.Int64),
        *(pl.Float64, pl.Float64, pl.Date, pl.Datetime("us"), pl.Date),
    ],
    "pyarrow": [
        *(pa.large_string(), pa.int64(), pa.int64(), pa.bool_(), pa.bool_(), pa.int64(), pa.int64()),
        *(pa.float64(), pa.float64(), pa.date32(), pa.timestamp("us"), pa.date32()),
    ],
}


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_types_come_from_the_schema_not_from_the_rows(backend: Backend, missing: bool):
    codes = np.array([[0 if missing else int(column.nullable) for column in EVERY_KIND]])
    table = decode(EncodedTable(codes), EVERY_KIND, backend=backend)
    if isinstance(table, pd.DataFrame):
        names, types = list(table.columns), [str(kind) for kind in table.dtypes]
        assert [bool(cell) for cell in table.isna().iloc[0]] == [missing and column.nullable for column in EVERY_KIND]
    elif isinstance(table, pl.DataFrame):
        names, types = table.columns, table.dtypes
        assert [cell is None for cell in table.row(0)] == [missing and column.nullable for column in EVERY_KIND]
    else:
        names, types = table.column_names, table.schema.types
        assert [column.null_count == 1 for column in table.columns] == [missing and column.nullable for column in EVERY_KIND]
    assert names == list(EVERY_KIND.names)
    assert types == TYPES[backend]


def test_every_backend_has_the_same_values(rng: np.random.Generator):
    encoded = EncodedTable(random_codes(EVERY_KIND, 200, rng))
    arrow = decode(encoded, EVERY_KIND, rng=3, backend="pyarrow")
    polars = decode(encoded, EVERY_KIND, rng=3, backend="polars")
    pandas = decode(encoded, EVERY_KIND, rng=3)
    assert pa.table(arrow).to_pylist() == polars.to_dicts()
    assert encode(pandas, EVERY_KIND, positions=True).codes.tolist() == encoded.codes.tolist()
    assert np.array_equal(*(np.asarray(encode(table, EVERY_KIND, positions=True).positions) for table in (pandas, polars)))
    assert decode(encoded, EVERY_KIND, rng=4, backend="pyarrow") != arrow


def test_a_table_without_rows():
    empty = EncodedTable(np.empty((0, len(EVERY_KIND))))
    for backend in BACKENDS:
        assert len(decode(empty, EVERY_KIND, backend=backend)) == 0
    assert draw_positions(EVERY_KIND, empty.codes).shape == (0, len(EVERY_KIND))


def test_missing_values_and_categories_keep_their_codes_when_positions_move():
    schema = Schema((Categorical("c", ("a", "b")), Continuous("x", 0, 1, bins=4, nullable=True)))
    assert codes_of(schema, [[0.9, 0.9], [0.9, 0.9]], [[1, 0], [0, 1]]).tolist() == [[1, 0], [0, 4]]
    assert codes_of_column(schema.columns[1], np.array([0.0, 1.0]), np.array([True, False])).tolist() == [0, 4]


def test_refusals(monkeypatch: pytest.MonkeyPatch):
    schema = Schema((Categorical("c", ("a", "b")), Ordinal("n", 0, 3)))
    with pytest.raises(ValueError, match=r"codes must have a column for each of the schema's 2, got shape \(1, 1\)"):
        decode(EncodedTable([[0]]), schema)
    for bad in ([[2, 0]], [[-1, 0]]):
        with pytest.raises(ValueError, match="codes of column 'c' must lie between 0 and 1"):
            decode(EncodedTable(bad), schema)
        with pytest.raises(ValueError, match="codes of column 'c'"):
            draw_positions(schema, bad)
    with pytest.raises(ValueError, match="positions must have the shape of codes"):
        codes_of(schema, [[0.0]], [[0, 0]])
    with pytest.raises(ValueError, match="backend must be one of"):
        decode(EncodedTable([[0, 0]]), schema, backend="excel")  # type: ignore[arg-type]
    for library in ("polars", "pandas"):
        monkeypatch.setitem(__import__("sys").modules, library, None)
        with pytest.raises(MissingLibraryError, match=f"pip install {library}"):
            decode(EncodedTable([[0, 0]]), schema, backend=library)  # type: ignore[arg-type]
