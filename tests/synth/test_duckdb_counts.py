"""Counts through DuckDB: relations and files give what the same table in memory gives, counts and refusals; no message shows a value."""

from __future__ import annotations

import gc
import gzip
import sys
import traceback
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from pyarrow import parquet

from mechanisms.errors import MissingLibraryError
from synth import duckdb_counts
from synth.duckdb_counts import DuckDbCounts
from synth.encode import encode
from synth.schema import Categorical, Continuous, Datetime, Ordinal, Schema
from synth.table_files import read_table
from tests.synth.raw_tables import groups_of, in_memory, raw_tables

SECRET = "7358913"
SCHEMA = Schema(
    (
        Categorical("color", ("red", "01", ""), other="else", nullable=True),
        Categorical("size", (1, 2, 3)),
        Categorical("smoker", (False, True), nullable=True),
        Ordinal("age", 0, 99, step=10),
        Continuous("weight", 0.0, 150.0, bins=3, nullable=True),
        Datetime("born", "1950-01-01", "2020-12-31", unit="Y"),
    )
)
HEADER = "color,size,smoker,age,weight,born\n"
ROWS = """red,1,true,5,0.1,1960-02-03
01,2.0,false,250,,2021-01-01T10:00
"",3,,31.0,50,1950
,1,true,7,1e9,1999-12-31
"a ""b"",
c",1,,0,-3,2000-01
"""


def assert_same(source: DuckDbCounts, table: pa.Table, schema: Schema) -> None:
    oracle, groups = in_memory(table, schema), groups_of(len(schema))
    assert source.n_rows == oracle.n_rows
    for group, found, expected in zip(groups, source.marginals(groups), oracle.marginals(groups), strict=True):
        np.testing.assert_array_equal(found, expected, strict=True, err_msg=str(group))


@settings(max_examples=25)
@given(raw_tables())
def test_a_relation_counts_as_in_memory(case: tuple[Schema, pa.Table]):
    schema, table = case
    assert_same(DuckDbCounts(duckdb.connect().from_arrow(table), schema), table, schema)


def test_several_chunks(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duckdb_counts, "CHUNK", 2048)
    table = pa.table({"a": rng.integers(-5, 30, 10_000), "b": rng.normal(size=10_000)})
    schema = Schema((Ordinal("a", 0, 20), Continuous("b", -1, 1, bins=9)))
    source = DuckDbCounts(duckdb.connect().from_arrow(table), schema)
    assert sum(1 for _ in source._chunks((0, 1))) > 3
    assert_same(source, table, schema)


def test_a_relation_with_joins_and_types_of_duckdb():
    connection = duckdb.connect()
    connection.execute("create type hue as enum ('red', 'green'); create table t(i hugeint, e hue, d decimal(6, 2), b uinteger)")
    connection.execute("insert into t values (1, 'red', 0.25, 7), (5, 'green', 99.5, 0), (3, null, -4, 9)")
    relation = connection.sql("select i, e, d, b from t join range(2) on true")
    schema = Schema(
        (Ordinal("i", 1, 4), Categorical("e", ("red", "green"), nullable=True), Continuous("d", 0, 1, bins=4), Ordinal("b", 0, 9))
    )
    source = DuckDbCounts(relation, schema)
    assert [answer.tolist() for answer in source.marginals([(0,), (1,), (2,), ()])] == [[2, 0, 2, 2], [2, 2, 2], [2, 2, 0, 2], 6]


def test_csv_files(tmp_path: Path):
    """Cells are read as `synth.table_files` reads them; a glob of files is one table."""
    (tmp_path / "all.csv").write_text(HEADER + ROWS + ROWS, encoding="utf-8")
    for name in ("part 1.csv", "part 2.csv"):
        (tmp_path / name).write_text(HEADER + ROWS, encoding="utf-8")
    with gzip.open(tmp_path / "zipped.csv.gz", "wt") as file:
        file.write(HEADER + ROWS + ROWS)
    table = read_table(tmp_path / "all.csv", SCHEMA)
    assert table.num_rows == 10
    for path in ("all.csv", "part *.csv", "zipped.csv.gz"):
        source = DuckDbCounts(tmp_path / path, SCHEMA)
        gc.collect()  # the relation keeps its connection
        assert_same(source, table, SCHEMA)


def test_cells_that_mean_missing(tmp_path: Path):
    path, schema = tmp_path / "a.csv", Schema((Ordinal("a", 1, 2, nullable=True),))
    path.write_text('a\n1\nNA\n2\n"1"\n', encoding="utf-8")
    assert DuckDbCounts(path, schema, missing=("", "NA")).marginals([(0,)])[0].tolist() == [1, 2, 1]
    with pytest.raises(ValueError, match="column 'a' has cells that are no numbers"):
        DuckDbCounts(path, schema)


def test_parquet_files(tmp_path: Path, rng: np.random.Generator):
    """Columns are found by name, whatever their order; the user's connection opens the files."""
    table = pa.table({"a": rng.integers(0, 9, 100), "b": rng.normal(size=100), "c": rng.normal(size=100)})
    parquet.write_table(table.slice(0, 60), tmp_path / "1.parquet")
    parquet.write_table(table.slice(60).select(["b", "c", "a"]), tmp_path / "2.parquet")
    schema = Schema((Continuous("b", -1, 1, bins=5), Ordinal("a", 0, 8)))
    source = DuckDbCounts(str(tmp_path / "*.parquet"), schema, connection=duckdb.connect(), ignore_extra=True)
    assert_same(source, table.select(["a", "b"]), schema)
    with pytest.raises(ValueError, match="the schema lacks column 'c' of the table; declare, drop, or take ignore_extra=True"):
        DuckDbCounts(tmp_path / "*.parquet", schema)


BAD_FILES = {
    "no number": (HEADER + f"red,1,true,{SECRET}x,1,1960-02-03\n", "column 'age' has cells that are no numbers"),
    "fraction": (HEADER + f"red,1,true,{SECRET}.5,1,1960-02-03\n", "column 'age' holds fractions"),
    "no boolean": (HEADER + f"red,1,{SECRET},5,1,1960-02-03\n", "column 'smoker' has cells that are neither true nor false"),
    "no time": (HEADER + f"red,1,true,5,1,{SECRET}\n", "column 'born' has cells that are no ISO 8601 points in time"),
    "unlisted": (HEADER + f"red,{SECRET},true,5,1,1960-02-03\n", "column 'size' holds a value that is not among its categories"),
    "missing": (HEADER + f"red,,true,{SECRET},1,1960-02-03\n", "column 'size' has missing values"),
    "ragged": (HEADER + f"red,1,true,5,1,1960-02-03\n{SECRET},1\n", "DuckDB can't"),
    "open quote": (HEADER + f'"red,1,true,5,1,{SECRET}\n', "DuckDB can't"),
    "above the header": (f"{SECRET}\n\n" + HEADER + ROWS, "DuckDB can't open"),
    "twice": (HEADER.replace("color", "size") + ROWS, "two columns named 'size'"),
    "extra": (HEADER.replace("born", "height") + ROWS, "the schema lacks column 'height' of the table"),
    "lacking": ("color,size\nred,1\n", "the table lacks columns 'smoker', 'age', 'weight', 'born'"),
    "header only": (HEADER, "the table has no rows"),
    "empty": ("", "is empty; its first line must hold the columns' names"),
    "latin 1": (HEADER + ROWS.replace("red", "r\udce4d"), "DuckDB can't"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_refused_and_no_cell_is_shown(case: str, tmp_path: Path):
    text, message = BAD_FILES[case]
    (tmp_path / "a.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=message) as caught:
        DuckDbCounts(tmp_path / "a.csv", SCHEMA)
    assert SECRET not in "".join(traceback.format_exception(caught.value)).rpartition("\nValueError: ")[2]
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_files_of_different_headers_are_refused(tmp_path: Path):
    """DuckDB would read the second by position."""
    (tmp_path / "1.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "2.csv").write_text("b,a\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"2.csv' has other columns, or in another order, than .*1.csv'; give all files one header"):
        DuckDbCounts(tmp_path / "*.csv", Schema((Ordinal("a", 0, 9), Ordinal("b", 0, 9))))


def test_no_such_file(tmp_path: Path):
    for name in ("a.csv", "a.parquet", "*.parquet"):
        with pytest.raises(FileNotFoundError, match="no such file: .*a"):
            DuckDbCounts(tmp_path / name, SCHEMA)
    with pytest.raises(ValueError, match=r"must end in one of .parquet, .pq, .csv, .csv.gz, .csv.zst, got .*a.xlsx'"):
        DuckDbCounts(tmp_path / "a.xlsx", SCHEMA)
    (tmp_path / "a.parquet").write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="DuckDB can't open .*a.parquet'; check its format"):
        DuckDbCounts(tmp_path / "a.parquet", SCHEMA)
    with pytest.raises(TypeError, match="source must be a relation of DuckDB or a path, got dict"):
        DuckDbCounts({"a": [1]}, SCHEMA)  # type: ignore[arg-type]


def test_a_relation_that_fails_on_a_value_shows_none():
    query = f"select cast(case when i = 900000 then '{SECRET}x' else '1' end as int) as a from range(1000000) t(i)"
    for sql in (query, f"select cast(v as int) as a from (values ('1'), ('{SECRET}x')) t(v)"):
        with pytest.raises(ValueError, match="DuckDB can't read the table; run the relation, or read the file, in DuckDB itself") as caught:
            DuckDbCounts(duckdb.connect().sql(sql), Schema((Ordinal("a", 0, 9),)))
        assert SECRET not in str(caught.value)
        assert caught.value.__suppress_context__


def test_the_same_refusals_as_in_memory():
    schema = Schema((Ordinal("b", 0, 9), Continuous("a", 0, 9)))
    for values in ([1.0, None], [1.0, np.inf], [1.0, np.nan]):
        table = pa.table({"a": values, "b": [1] * len(values)})
        with pytest.raises(ValueError, match="column 'a'") as expected:
            encode(table, schema)
        with pytest.raises(ValueError, match="column 'a'") as found:
            DuckDbCounts(duckdb.connect().from_arrow(table), schema)
        assert str(found.value) == str(expected.value)
    with pytest.raises(ValueError, match="two columns named 'a'"):
        DuckDbCounts(duckdb.sql("select 1 as a, 2 as a, 3 as b"), schema)


def test_a_table_that_changes_is_refused():
    connection = duckdb.connect()
    connection.execute("create table t as select 1 as a")
    source = DuckDbCounts(connection.table("t"), Schema((Ordinal("a", 0, 9),)))
    connection.execute("insert into t values (2)")
    with pytest.raises(ValueError, match="has changed since it was opened"):
        source.marginals([(0,)])


def test_without_duckdb(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingLibraryError, match=r'pip install "privacy-audit\[duckdb\]"'):
        DuckDbCounts("a.csv", SCHEMA)
