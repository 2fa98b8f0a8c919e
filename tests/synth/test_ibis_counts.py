"""Counts made by a warehouse: the same as in memory, to the row; the same refusals, in the same words. DuckDB always, Spark when there."""

from __future__ import annotations

import datetime as dt
import functools
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from mechanisms.errors import MissingLibraryError
from synth import ibis_counts
from synth.encode import encode
from synth.ibis_counts import IbisCounts
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema
from tests.synth.raw_tables import groups_of, in_memory, raw_tables
from tests.synth.tables import EVERY_KIND

ibis = pytest.importorskip("ibis")
pytestmark = [
    pytest.mark.filterwarnings("ignore:fetch_.* is deprecated:DeprecationWarning"),  # ibis 12 on DuckDB 2
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ibis"),
]

SECRET = 7358913


@functools.cache
def duckdb_backend() -> Any:
    return ibis.duckdb.connect()


def in_duckdb(table: pa.Table) -> Any:
    backend = duckdb_backend()
    backend.con.register("arrow_table", table)
    backend.con.execute("create or replace table rows as from arrow_table")
    return backend.table("rows")


def assert_same(source: IbisCounts, table: pa.Table, schema: Schema) -> None:
    oracle, groups = in_memory(table, schema), groups_of(len(schema))
    assert source.n_rows == oracle.n_rows
    for group, found, expected in zip(groups, source.marginals(groups), oracle.marginals(groups), strict=True):
        np.testing.assert_array_equal(found, expected, strict=True, err_msg=str(group))


@settings(max_examples=10)
@given(raw_tables(max_columns=3))
def test_same_as_in_memory(case: tuple[Schema, pa.Table]):
    schema, table = case
    assert_same(IbisCounts(in_duckdb(table), schema), table, schema)


@pytest.mark.slow
@settings(max_examples=200)
@given(raw_tables())
def test_same_as_in_memory_often(case: tuple[Schema, pa.Table]):
    schema, table = case
    assert_same(IbisCounts(in_duckdb(table), schema), table, schema)


def test_many_groups_take_several_queries(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ibis_counts, "GROUPS", 4)
    table = pa.table({f"c{i}": rng.integers(-2, 12, 500) for i in range(5)})
    schema = Schema(tuple(Ordinal(f"c{i}", 0, 9, step=i + 1) for i in range(5)))
    assert_same(IbisCounts(in_duckdb(table), schema), table, schema)


def test_many_bins(rng: np.random.Generator):
    """A thousand bins whose edges are no short decimals; values on the edges and one float below."""
    column = Continuous("x", -0.1, 0.3, bins=1000)
    edges = np.array(column.all_edges)
    table, schema = pa.table({"x": np.concatenate([edges, np.nextafter(edges, -np.inf), rng.uniform(-1, 1, 1000)])}), Schema((column,))
    assert_same(IbisCounts(in_duckdb(table), schema), table, schema)


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s", "ms", "us"])
def test_every_unit_of_time_before_and_after_1970(unit: str):
    """A step of one unit, and times one microsecond around its ends; in every type that holds them."""
    middle = np.datetime64("1969-12-31", unit) if unit in "YMWD" else np.datetime64("1970-01-01T00:00", unit)
    units = np.arange(middle - 12, middle + 12)
    ends = units.astype("datetime64[us]")
    times = np.concatenate([ends, ends - np.timedelta64(1, "us"), ends + np.timedelta64(1, "us")])
    lower, upper = str(units[2].astype("datetime64[us]")), str(units[-2].astype("datetime64[us]"))
    table = pa.table({kind: pa.array(times.astype(f"datetime64[{kind}]")) for kind in ("D", "s", "ms", "us", "ns")})
    schema = Schema(tuple(Datetime(kind, lower, upper, unit=unit) for kind in table.column_names))
    assert in_memory(table, schema).marginals([(3,)])[0].min() >= 3  # every code occurs
    assert_same(IbisCounts(in_duckdb(table), schema), table, schema)


def test_numbers_that_don_t_fit_whole_ones():
    table = pa.table({"a": [1e300, -1e300, 2.0**53 + 2, 2.0**63, 3.0, -0.0], "b": pa.array([2**64 - 1, 2**63, 1, 0, 2, 3], pa.uint64())})
    schema = Schema((Ordinal("a", -5, 5), Ordinal("b", -1, 2)))
    assert_same(IbisCounts(in_duckdb(table), schema), table, schema)


BAD: dict[str, tuple[Column, pa.Array]] = {
    "missing": (Ordinal("a", 0, 9), pa.array([SECRET, None])),
    "missing text": (Categorical("a", ("x",)), pa.array(["x", None])),
    "missing time": (Datetime("a", "2020-01-01", "2021-01-01"), pa.array([dt.date(2020, 1, 2), None])),
    "nan": (Continuous("a", 0, 9), pa.array([float(SECRET), np.nan])),
    "all missing": (Categorical("a", ("x",)), pa.array([None, None])),
    "infinite": (Continuous("a", 0, 9), pa.array([float(SECRET), np.inf])),
    "infinite, nullable": (Continuous("a", 0, 9, nullable=True), pa.array([None, -np.inf])),
    "infinite and fraction": (Ordinal("a", 0, 9), pa.array([0.5, np.inf, SECRET + 0.5])),
    "missing and infinite": (Ordinal("a", 0, 9), pa.array([np.inf, 0.5, None])),
    "fraction": (Ordinal("a", 0, 9), pa.array([SECRET + 0.5])),
    "fraction, nullable": (Ordinal("a", 0, 9, nullable=True), pa.array([None, -0.25])),
    "unlisted": (Categorical("a", ("x", "y")), pa.array(["x", f"{SECRET}"])),
    "unlisted number": (Categorical("a", (1, 2)), pa.array([1, SECRET])),
    "unlisted fraction": (Categorical("a", (1, 2)), pa.array([1.0, 1.5])),
    "unlisted boolean": (Categorical("a", (True,)), pa.array([True, False])),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_in_the_same_words(case: str):
    column, values = BAD[case]
    table, schema = pa.table({"b": pa.array([1] * len(values)), "a": values}), Schema((Ordinal("b", 0, 1), column))
    with pytest.raises(ValueError, match="column 'a'") as expected:
        encode(table, schema)
    with pytest.raises(ValueError, match="column 'a'") as found:
        IbisCounts(ibis.memtable(table), schema)
    assert str(found.value) == str(expected.value)
    assert str(SECRET) not in str(found.value)


WRONG_TYPE: dict[str, tuple[Column, pa.Array, str]] = {
    "text for whole": (Ordinal("a", 0, 9), pa.array(["1"]), "declared ordinal, and holds string; convert the column; text is not parsed"),
    "text for number": (Continuous("a", 0, 9), pa.array(["1"]), "declared continuous, and holds string"),
    "text for time": (Datetime("a", "2020-01-01", "2021-01-01"), pa.array(["2020-01-01"]), "declared datetime, and holds string"),
    "number for time": (Datetime("a", "2020-01-01", "2021-01-01"), pa.array([5]), "declared datetime, and holds int64"),
    "number for text": (Categorical("a", ("1",)), pa.array([1]), "categorical of text, and holds int64; convert the column, or declare"),
    "boolean for number": (Categorical("a", (0, 1)), pa.array([True]), "categorical of whole numbers, and holds boolean"),
    "number for boolean": (Categorical("a", (True,)), pa.array([1]), "categorical of booleans, and holds int64"),
    "time zone": (Datetime("a", "2020-01-01", "2021-01-01"), pa.array([0], pa.timestamp("s", "UTC")), "has a time zone"),
    "time of day": (Datetime("a", "2020-01-01", "2021-01-01"), pa.array([dt.time(1)]), "holds time"),
}


@pytest.mark.parametrize("case", WRONG_TYPE)
def test_wrong_types(case: str):
    column, values, message = WRONG_TYPE[case]
    with pytest.raises(ValueError, match=f"^column 'a' .*{message}"):
        IbisCounts(ibis.memtable(pa.table({"a": values})), Schema((column,)))


def test_wrong_tables():
    schema = Schema((Ordinal("a", 0, 9), Ordinal("b", 0, 9)))
    with pytest.raises(ValueError, match="the schema lacks column 'c' of the table"):
        IbisCounts(ibis.memtable(pa.table({"a": [1], "b": [2], "c": [3]})), schema)
    assert IbisCounts(ibis.memtable(pa.table({"b": [1], "c": [2], "a": [3]})), schema, ignore_extra=True).marginals([(0,)])[0][3] == 1
    with pytest.raises(ValueError, match="the table lacks columns 'a', 'b'"):
        IbisCounts(ibis.memtable(pa.table({"c": [3]})), schema, ignore_extra=True)
    with pytest.raises(ValueError, match="no rows"):
        IbisCounts(ibis.memtable(pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.int64())})), schema)
    with pytest.raises(TypeError, match="table must be a table expression of ibis, got dict"):
        IbisCounts({"a": [1]}, schema)  # type: ignore[arg-type, unused-ignore]


def test_a_column_of_missing_values_only():
    schema = Schema((Categorical("a", ("x",), nullable=True), Continuous("b", 0, 1, nullable=True), Ordinal("c", 0, 1)))
    table = pa.table({"a": pa.nulls(2), "b": pa.nulls(2), "c": [0, 1]})
    assert_same(IbisCounts(ibis.memtable(table), schema), table, schema)


def test_a_table_that_changes_is_refused():
    rows = in_duckdb(pa.table({"a": [1, 2]}))
    source = IbisCounts(rows, Schema((Ordinal("a", 0, 9),)))
    rows.get_backend().con.execute("insert into rows values (3)")
    with pytest.raises(ValueError, match="has changed since it was opened"):
        source.marginals([(0,)])


def test_without_ibis(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ibis.expr.types", None)
    with pytest.raises(MissingLibraryError, match=r'pip install "privacy-audit\[ibis\]"'):
        IbisCounts(object(), EVERY_KIND)


@pytest.fixture(scope="module")
def in_spark() -> Iterator[Callable[[pa.Table], Any]]:
    sql = pytest.importorskip("pyspark.sql")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    session = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    backend = ibis.pyspark.connect(session)

    def load(table: pa.Table) -> Any:
        session.createDataFrame(table.to_pylist(), _spark_schema(table)).createOrReplaceTempView("rows")
        return backend.table("rows")

    yield load
    session.stop()


def _spark_schema(table: pa.Table) -> str:
    kinds = {"int64": "bigint", "double": "double", "string": "string", "bool": "boolean", "date32[day]": "date"}
    return ", ".join(f"`{field.name}` {kinds.get(str(field.type), 'timestamp_ntz')}" for field in table.schema)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Spark, Java and pandas warn as they please
def test_spark_counts_the_same(in_spark: Callable[[pa.Table], Any], rng: np.random.Generator):
    n = 400
    edges = np.array(Continuous("weight", -0.1, 0.3, bins=7).all_edges)
    times = np.datetime64("1965-03-01T05:06:07.123456") + rng.integers(0, 10**15, n).astype("timedelta64[us]")
    table = pa.table(
        {
            "it's \\ a name": pa.array(rng.choice(["it's", "back\\slash", 'a "b"', "line\nline", "else", None], n).tolist(), pa.string()),
            "grade": rng.integers(1, 4, n),
            "flag": pa.array([None if x == 2 else bool(x) for x in rng.integers(0, 3, n)]),
            "age": rng.integers(-9, 200, n),
            "children": pa.array([None if x > 8 else float(x) for x in rng.integers(0, 11, n)], pa.float64()),
            "weight": np.concatenate([edges, np.nextafter(edges, -1), rng.uniform(-1, 1, n - 16)]),
            **{f"time {unit}": pa.array(times) for unit in ("Y", "M", "W", "D", "h", "ms")},
            "day": pa.array(times.astype("datetime64[D]")),
        }
    )
    schema = Schema(
        (
            Categorical("it's \\ a name", ("it's", "back\\slash", 'a "b"', "line\nline"), other="rest", nullable=True),
            Categorical("grade", (3, 1, 2)),
            Categorical("flag", (True, False), nullable=True),
            Ordinal("age", 0, 99, step=7),
            Ordinal("children", 0, 5, nullable=True),
            Continuous("weight", -0.1, 0.3, bins=7),
            *(Datetime(f"time {unit}", "1965-01-01", "1990-01-01", unit=unit, step=10) for unit in ("Y", "M", "W", "D")),
            Datetime("time h", "1965-01-01", "1990-01-01", unit="h", step=1000),
            Datetime("time ms", "1965-01-01", "1990-01-01", unit="ms", step=10**10 + 7),
            Datetime("day", "1965-01-01", "1990-01-01", unit="W", step=52),
        )
    )
    assert_same(IbisCounts(in_spark(table), schema), table, schema)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_spark_has_no_microseconds(in_spark: Callable[[pa.Table], Any]):
    table = in_spark(pa.table({"a": pa.array([5], pa.timestamp("us"))}))
    with pytest.raises(ibis.common.exceptions.UnsupportedOperationError, match="microseconds"):
        IbisCounts(table, Schema((Datetime("a", "1970-01-01", "1970-01-02", unit="us", step=1000),)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [case for case in BAD if case != "all missing"])
def test_spark_refuses_the_same(in_spark: Callable[[pa.Table], Any], case: str):
    column, values = BAD[case]
    table, schema = pa.table({"a": values}), Schema((column,))
    with pytest.raises(ValueError, match="column 'a'") as expected:
        encode(table, schema)
    with pytest.raises(ValueError, match="column 'a'") as found:
        IbisCounts(in_spark(table), schema)
    assert str(found.value) == str(expected.value)
