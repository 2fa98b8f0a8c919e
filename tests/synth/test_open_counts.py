"""The door: every kind of table leads to the right source, and to the same counts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from synth import open_counts
from synth.counts import EncodedCounts
from synth.duckdb_counts import DuckDbCounts
from synth.encode import encode
from synth.ibis_counts import IbisCounts
from synth.open_counts import count_source
from synth.schema import Categorical, Ordinal, Schema
from synth.table_files import write_table

SCHEMA = Schema((Ordinal("age", 0, 99, step=25, nullable=True), Categorical("sex", ("f", "m"))))
TABLE = pa.table({"sex": ["f", "m", "f", "f"], "age": [30, None, 99, 250]})
EXPECTED = [[0, 1], [0, 0], [1, 0], [0, 0], [2, 0]]


def test_every_kind_of_table(tmp_path: Path):
    ibis = pytest.importorskip("ibis")
    for name in ("a.csv", "a.parquet"):
        write_table(TABLE, tmp_path / name)
    encoded = encode(TABLE, SCHEMA)
    tables = [
        (TABLE, EncodedCounts),
        (TABLE.to_pandas(), EncodedCounts),
        (pl.from_arrow(TABLE), EncodedCounts),
        (pl.from_arrow(TABLE).lazy(), EncodedCounts),
        ({"sex": ["f", "m", "f", "f"], "age": np.array([30, np.nan, 99, 250])}, EncodedCounts),
        (encoded, EncodedCounts),
        (EncodedCounts(encoded, SCHEMA), EncodedCounts),
        (tmp_path / "a.csv", DuckDbCounts),
        (str(tmp_path / "a.parquet"), DuckDbCounts),
        (duckdb.connect().from_arrow(TABLE), DuckDbCounts),
        (ibis.memtable(TABLE), IbisCounts),
    ]
    for table, kind in tables:
        source = count_source(table, SCHEMA)
        assert type(source) is kind
        assert source.n_rows == 4
        assert source.schema == SCHEMA
        assert source.marginals([(0, 1)])[0].tolist() == EXPECTED


def test_files_are_read_without_duckdb_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a.csv", "a.parquet"):
        write_table(TABLE, tmp_path / name)
        with monkeypatch.context() as patch:
            patch.setattr(open_counts, "find_spec", lambda name: None if name == "duckdb" else importlib.util.find_spec(name))
            source = count_source(tmp_path / name, SCHEMA)
        assert type(source) is EncodedCounts
        assert source.marginals([(0, 1)])[0].tolist() == EXPECTED


def test_options_are_passed_on(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("sex,age,height\nf,NA,1\nm,3,2\n", encoding="utf-8")
    expected = [[1, 0], [0, 1], [0, 0], [0, 0], [0, 0]]
    assert count_source(path, SCHEMA, ignore_extra=True, missing=("NA",)).marginals([(0, 1)])[0].tolist() == expected
    wide = TABLE.append_column("height", pa.array([1, 2, 3, 4]))
    for table in (wide, duckdb.connect().from_arrow(wide)):
        assert count_source(table, SCHEMA, ignore_extra=True).n_rows == 4
        with pytest.raises(ValueError, match="the schema lacks column 'height'"):
            count_source(table, SCHEMA)


def test_what_is_no_table():
    for value in (3, None, [1], object()):
        with pytest.raises(TypeError, match="table must be of pandas, Polars or PyArrow, or a dict of arrays"):
            count_source(value, SCHEMA)  # type: ignore[arg-type]
    other = Schema((Ordinal("age", 0, 9),))
    with pytest.raises(ValueError, match="another schema"):
        count_source(count_source(pd.DataFrame({"age": [3]}), other), SCHEMA)
