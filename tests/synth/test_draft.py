"""Drafts: they cover the data they looked at, say what they are, and are no schema before a name stands under them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.draft import SchemaDraft, infer_schema
from synth.encode import encode, encode_column
from synth.schema import Categorical, Continuous, Datetime, Ordinal, Schema
from synth.schema_file import read_schema

N = 300


def survey(rng: np.random.Generator) -> pd.DataFrame:
    day = pd.Timestamp("2020-03-01")
    return pd.DataFrame(
        {
            "age": rng.integers(17, 91, N),
            "weight": rng.normal(70, 10, N),
            "region": [*["east", "west"] * (N // 2 - 2), "atlantis", "atlantis", "east", "west"],
            "smoker": rng.random(N) < 0.5,
            "born": day + pd.to_timedelta(rng.integers(0, 500, N), unit="D"),
            "seen": day + pd.to_timedelta(rng.integers(0, 10**7, N), unit="s"),
            "children": pd.array([None, *rng.integers(0, 5, N - 1)], dtype="Int64"),
            "name": [f"person {row}" for row in range(N)],
            "number": 2**52 + np.arange(N),
            "empty": [None] * N,
            "spell": pd.to_timedelta(rng.integers(0, 500, N), unit="D"),
        }
    )


def test_draft_of_a_survey(rng: np.random.Generator):
    table = survey(rng)
    draft = infer_schema(table)
    by_name = {column.name: column for column in draft.columns}
    assert by_name["region"] == Categorical("region", ("east", "west"), other="other")
    assert by_name["smoker"] == Categorical("smoker", (False, True))
    assert by_name["age"] == Ordinal("age", 0, 90 if table["age"].max() <= 90 else 100)
    assert by_name["children"] == Ordinal("children", 0, 4, nullable=True)
    assert by_name["born"] == Datetime("born", "2020-01-01", "2021-12-31", step=30)
    assert by_name["seen"] == Datetime("seen", "2020-01-01", "2020-12-31T23:59:59", unit="s", step=604800)
    assert [name for name, _ in draft.left_out] == ["name", "number", "empty", "spell"]
    signed = draft.sign("A. Steward")
    codes = encode(table, signed, ignore_extra=True).codes
    assert codes.shape == (N, 7)
    assert "not signed; it was made by looking at the data" in repr(draft)


def test_a_draft_is_no_schema_until_it_is_signed(rng: np.random.Generator, tmp_path: Path):
    table, file = survey(rng), tmp_path / "schema.toml"
    draft = infer_schema(table)
    assert not isinstance(draft, Schema)
    with pytest.raises(AttributeError):
        encode(table, draft, ignore_extra=True)  # type: ignore[arg-type]
    draft.write(file)
    text = file.read_text(encoding="utf-8")
    assert "costs privacy that no epsilon counts" in text
    assert "Left out: column 'name', it looks like free text" in text
    assert "atlantis" not in text
    assert "person" not in text
    with pytest.raises(ValueError, match="this draft is not signed"):
        read_schema(file)
    file.write_text(text.replace('signed_by = ""', 'signed_by = "A. Steward"'), encoding="utf-8")
    assert read_schema(file) == draft.sign("A. Steward")
    for name in ("", "  ", None):
        with pytest.raises(ValueError, match="signed by a name"):
            draft.sign(name)  # type: ignore[arg-type]


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20))
def test_bounds_lie_outside_and_are_round(values: list[float]):
    draft = infer_schema({"x": values})
    if not draft.columns:
        assert draft.left_out[0][1] == "its numbers lie too close together"
        return
    (column,) = draft.columns
    assert isinstance(column, Continuous | Ordinal)
    assert column.lower <= min(values)
    assert max(values) <= column.upper
    width = max(values) - min(values) or max(abs(values[0]), 1.0)
    digit = 10.0 ** np.floor(np.log10(width))
    assert column.upper - column.lower <= width + 2 * max(digit, 1.0) or column.lower == 0
    if isinstance(column, Continuous):
        whole = np.array([column.lower, column.upper]) / digit
        assert np.allclose(whole, np.rint(whole), rtol=1e-9, atol=1e-6)


@given(st.lists(st.integers(-(2**49), 2**49), min_size=1, max_size=20))
def test_whole_numbers_get_at_most_100_codes(values: list[int]):
    (column,) = infer_schema({"n": values}).columns
    assert isinstance(column, Ordinal)
    assert column.lower <= min(values)
    assert max(values) <= column.upper
    assert column.size <= 101
    assert str(column.step).rstrip("0") in ("1", "2", "5")


@given(st.lists(st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)), min_size=1, max_size=9), st.booleans())
def test_times_are_covered(times: list[dt.datetime], by_day: bool):
    values: list[dt.datetime] | list[dt.date] = (
        [time.date() for time in times] if by_day else [time.replace(microsecond=0) for time in times]
    )
    (column,) = infer_schema({"t": values}).columns
    assert isinstance(column, Datetime)
    years = [value.year for value in values]
    assert column.lower == f"{min(years):04}-01-01"
    assert column.upper.startswith(f"{max(years):04}-12-31")
    codes, _ = encode_column(values, column)
    assert len(set(codes)) <= len(set(values))


def test_odd_columns():
    def draft(values: object, **options: int) -> SchemaDraft:
        return infer_schema({"x": values}, **options)  # type: ignore[dict-item]

    assert draft([0.5, np.inf]).left_out == (("x", "it holds infinite numbers"),)
    assert draft([1.0, 1.0000000000000002, 1.5e-300]).columns[0].kind == "continuous"
    assert draft([1.5, 1.5000000000000002]).left_out == (("x", "its numbers lie too close together"),)
    assert draft([["a"]]).left_out[0][1].startswith("its type list")
    assert draft(pa.array([2**31 - 1], pa.date32())).left_out == (("x", "its times lie outside the years 0 to 9999"),)
    assert draft(["a"] * 9).left_out == (("x", "it looks like free text, names or identifiers"),)
    assert draft(["a"] * 9 + ["b"], min_rows=1).columns == (Categorical("x", ("a", "b")),)
    assert draft(["a"] * 9 + ["b"], min_rows=1, max_categories=1).columns == ()
    assert draft(pd.Series(["a", None] * 10, dtype="category")).columns == (Categorical("x", ("a",), nullable=True),)
    assert draft(pl.Series([1.0, float("nan")])).columns == (Ordinal("x", 0, 1, nullable=True),)
    assert draft([3, 3]).columns == (Ordinal("x", 0, 3),)
    assert infer_schema(pd.DataFrame({7: [1, 2]})).left_out == (("7", "its name is no text"),)
    with pytest.raises(ValueError, match="no rows"):
        draft([])
    with pytest.raises(ValueError, match="min_rows must be a whole number"):
        draft([1], min_rows=0)
    with pytest.raises(ValueError, match="a schema must have a column"):
        SchemaDraft(()).sign("A. Steward")
    assert SchemaDraft(()).to_dict() == {"schema_version": 1, "signed_by": "", "columns": []}
