"""Tables on disk: there and back with the same codes, types from the schema, sentences that show no cell."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth import table_files
from synth.decode import Backend, decode
from synth.encode import encode
from synth.encoded import EncodedTable
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema
from synth.table_files import read_table, write_table
from tests.synth.tables import EVERY_KIND, columns, random_codes

SCHEMA = Schema(
    (
        Categorical("code", ("01", "NA", ""), nullable=True),
        Categorical("grade", (1, 2), nullable=True),
        Categorical("smoker", (False, True)),
        Ordinal("children", 0, 9, nullable=True),
        Continuous("dose", 0, 1, nullable=True),
        Datetime("month", "2020", "2022", unit="M"),
        Datetime("seen", "2020", "2022", unit="s", step=3600, nullable=True),
    )
)
TEXT = """code,grade,smoker,children,dose,month,seen,extra
01,1,true,5.0,0.5,2020-01,2020-01-01 00:00:00.123456789,007
NA,,0,,,2020-01-05,,8
"",2,FALSE, 3 ,1e-3,2021,2021-01-01T05,
,2.0,1,12,-4,2021,2021-01-01T05:30,"a, ""b""
c"
"""


def write(path: Path, text: str) -> Path:
    file = path / "table.csv"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_codes_come_back_from_disk(suffix: str, backend: Backend, tmp_path: Path, rng: np.random.Generator):
    encoded = EncodedTable(random_codes(EVERY_KIND, 500, rng))
    table = decode(encoded, EVERY_KIND, rng=rng, backend=backend)
    write_table(table, tmp_path / f"table{suffix}")
    read = read_table(tmp_path / f"table{suffix}", EVERY_KIND)
    assert read.column_names == list(EVERY_KIND.names)
    again = encode(read, EVERY_KIND, positions=True)
    assert np.array_equal(again.codes, encoded.codes)
    assert np.array_equal(np.asarray(again.positions), np.asarray(encode(table, EVERY_KIND, positions=True).positions))
    assert [file.name for file in tmp_path.iterdir()] == [f"table{suffix}"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(columns(), st.integers(0, 2**32))
def test_any_column_comes_back_from_csv(tmp_path: Path, column: Column, seed: int):
    schema = Schema((column,))
    codes = np.random.default_rng(seed).integers(0, column.size, (20, 1))
    write_table(decode(EncodedTable(codes), schema, rng=seed, backend="pyarrow"), tmp_path / "table.csv")
    assert np.array_equal(encode(read_table(tmp_path / "table.csv", schema), schema).codes, codes)


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
def test_cells_are_read_as_declared(mark: str, tmp_path: Path):
    table = read_table(write(tmp_path, mark + TEXT), SCHEMA)
    assert table["code"].to_pylist() == ["01", "NA", "", None]
    assert table["grade"].to_pylist() == [1, None, 2, 2]
    assert table["smoker"].to_pylist() == [True, False, False, True]
    assert table["children"].to_pylist() == [5, None, 3, 12]
    assert table["dose"].to_pylist() == [0.5, None, 0.001, -4]
    assert table["month"].to_pylist() == [dt.date(2020, 1, 1), dt.date(2020, 1, 5), dt.date(2021, 1, 1), dt.date(2021, 1, 1)]
    five = dt.datetime(2021, 1, 1, 5)
    assert table["seen"].to_pylist() == [dt.datetime(2020, 1, 1), None, five, five.replace(minute=30)]
    assert table["extra"].to_pylist() == ["007", "8", None, 'a, "b"\nc']
    assert encode(table, SCHEMA, ignore_extra=True).codes.tolist()[3] == [0, 2, 1, 10, 1, 12, 8790]


def test_without_a_schema_cells_are_guessed(tmp_path: Path):
    table = read_table(write(tmp_path, TEXT))
    assert [str(kind) for kind in table.schema.types] == [
        "string",
        "double",
        "bool",
        "double",
        "double",
        "string",
        "timestamp[ns]",
        "string",
    ]
    assert read_table(write(tmp_path, "code\n01\n02\n"))["code"].to_pylist() == [1, 2]


def test_cells_that_mean_missing(tmp_path: Path):
    file = write(tmp_path, 'code,children\n"NA",NA\nNA,3\n,4\n')
    schema = Schema((SCHEMA.columns[0], SCHEMA.columns[3]))
    table = read_table(file, schema, missing=("", "NA"))
    assert table.to_pydict() == {"code": ["NA", None, None], "children": [None, 3, 4]}
    with pytest.raises(ValueError, match="column 'children' has cells that are no numbers"):
        read_table(file, schema)


def test_dictionaries_and_indices_are_written_plain(tmp_path: Path):
    table = pd.DataFrame({"a": pd.Categorical(["x", None, "y"])}, index=[5, 6, 7])
    for suffix in ("csv", "parquet"):
        write_table(table, tmp_path / f"t.{suffix}")
        assert read_table(tmp_path / f"t.{suffix}").to_pydict() == {"a": ["x", None, "y"]}
    write_table(pl.LazyFrame({"a": [1]}), tmp_path / "t.csv")
    write_table({"a": [1], "b": np.array(["2020"], dtype="datetime64[Y]")}, tmp_path / "u.csv")
    assert (tmp_path / "u.csv").read_text() == '"a","b"\n1,2020-01-01\n'


SECRET = "7358913"
BAD = {
    "text for a number": (Ordinal("a", 0, 9), f"a\nx{SECRET}\n", "column 'a' has cells that are no numbers"),
    "text for a boolean": (Categorical("a", (False, True)), f"a\nx{SECRET}\n", "column 'a' has cells that are neither true nor false"),
    "no time": (Datetime("a", "2020", "2021"), f"a\n{SECRET}\n", "column 'a' has cells that are no ISO 8601 points in time"),
    "time zone": (Datetime("a", "2020", "2021"), "a\n2020-01-01T00:00:00Z\n", "without a time zone"),
    "now": (Datetime("a", "2020", "2021"), "a\nnow\n", "no ISO 8601"),
    "no such day": (Datetime("a", "2020", "2021"), "a\n2020-02-30\n", "no ISO 8601"),
    "long row": (Ordinal("a", 0, 9), f"a\n1\n1,{SECRET}\n", "table.csv is no CSV table with a header, rows of equal length"),
    "no header": (Ordinal("a", 0, 9), "", "is no CSV table"),
    "name twice": (Ordinal("a", 0, 9), "a,a\n1,2\n", "two columns named 'a'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_cells_are_not_shown(case: str, tmp_path: Path):
    column, text, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_table(write(tmp_path, text), Schema((column,)))
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_fractions_and_infinities_are_left_to_encode(tmp_path: Path):
    schema = Schema((Ordinal("a", 0, 9),))
    for cell, message in (("1.5", "fractions"), ("inf", "infinite")):
        with pytest.raises(ValueError, match=message):
            encode(read_table(write(tmp_path, f"a\n{cell}\n"), schema), schema)


def test_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match=r"table files must end in \.csv or \.parquet, got 'table\.xlsx'"):
        read_table(tmp_path / "table.xlsx")
    with pytest.raises(ValueError, match="must end in"):
        write_table({"a": [1]}, tmp_path / "table")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_table(tmp_path / "table.csv")
    for name in ("table.parquet", "table.csv"):
        (tmp_path / name).write_bytes(b"a\n\xff\xfe\xff\n" if name.endswith("csv") else b"no parquet file at all")
        with pytest.raises(ValueError, match=r"is no (CSV table|Parquet file)"):
            read_table(tmp_path / name, Schema((Categorical("a", ("x",)),)))
    (tmp_path / "table.csv").unlink()
    with pytest.raises(ValueError, match=r"a column has a type that \.csv files can't hold"):
        write_table(pa.table({"a": [[1]]}), tmp_path / "table.csv")
    monkeypatch.setattr(table_files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(ValueError, match="column names must be text"):
        write_table(pd.DataFrame({7: [1]}), tmp_path / "table.csv")
    with pytest.raises(OSError, match="disk"):
        write_table({"a": [1]}, tmp_path / "table.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["table.parquet"]
