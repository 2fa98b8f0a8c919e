"""Placeholders: public settings, refused where they make no column; the grid of magnitudes; files with gaps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.domain.open_schema import BuyBounds, BuyCategories, BuyEdges, OpenSchema
from synth.domain.open_schema_file import open_schema_from_dict, open_schema_to_dict, read_open_schema
from synth.schema import Categorical, Continuous, Ordinal, Schema
from synth.schema_file import read_schema


@given(st.integers(-60, 60), st.integers(1, 50))
def test_magnitudes_are_powers_of_two(low: int, n_octaves: int):
    column = BuyBounds("x", largest=2.0 ** (low + n_octaves), smallest=2.0**low)
    positive = [edge for edge in column.magnitudes.all_edges if edge > 0]
    assert positive == [2.0**k for k in range(low, low + n_octaves + 1)]
    assert [-edge for edge in reversed(column.magnitudes.all_edges) if edge <= 0] == [0.0, *positive]
    assert column.magnitudes.n_values == 2 * (n_octaves + 1)


def test_limits_are_rounded_outward():
    assert BuyBounds("x", largest=1000, smallest=3).octaves == (1, 10)
    assert BuyBounds("x", largest=1024, smallest=2).octaves == (1, 10)
    assert BuyBounds("x", kind="ordinal", largest=1025).octaves == (0, 11)


BAD = [
    (BuyBounds, {"largest": 1.0, "smallest": 1.0}, "largest must be at least 2"),
    (BuyBounds, {"largest": 2.0**30, "smallest": 2.0**-30}, "at most 2\\^50 times"),
    (BuyBounds, {"kind": "categorical"}, "kind must be one of"),
    (BuyBounds, {"kind": "ordinal", "levels": 2}, "leave out levels"),
    (BuyBounds, {"kind": "ordinal", "largest": 2.0**51}, "at most 2\\^50"),
    (BuyBounds, {"largest": float("inf")}, "largest must be positive"),
    (BuyBounds, {"false_bin": 0.0}, "false_bin must be in"),
    (BuyBounds, {"bins": 1}, "bins must be a whole number >= 2"),
    (BuyBounds, {"bins": 2**12, "levels": 11}, "take fewer levels"),
    (BuyEdges, {"lower": 1, "upper": 1}, "lower must be finite and below upper"),
    (BuyEdges, {"lower": 0, "upper": 1, "levels": 0}, "levels must be a whole number >= 1"),
    (BuyEdges, {"lower": 0, "upper": 1, "levels": 21}, "levels must be at most 20"),
    (BuyEdges, {"lower": 0, "upper": 1, "bins": 64, "levels": 17}, "take fewer levels"),
    (BuyEdges, {"lower": 1e15, "upper": 1e15 + 8}, "narrower than floats can tell apart"),
    (BuyCategories, {"max_categories": 0}, "max_categories must be a whole number >= 1"),
]


@pytest.mark.parametrize(("cls", "options", "match"), BAD)
def test_bad_placeholders(cls: type, options: dict[str, object], match: str):
    with pytest.raises(ValueError, match=match):
        cls("x", **options)


@pytest.mark.parametrize("other", [None, True, 1.5])
def test_other_must_be_a_label(other: object):
    with pytest.raises(TypeError, match="column 'x': other must be"):
        BuyCategories("x", other=other)  # type: ignore[arg-type]


def test_open_schema():
    schema = OpenSchema((Ordinal("age", 0, 9), BuyEdges("w", 0, 1), BuyCategories("city")))
    assert schema.names == ("age", "w", "city")
    assert [column.name for column in schema.to_buy] == ["w", "city"]
    assert schema.needs_delta
    assert not OpenSchema((BuyEdges("w", 0, 1),)).needs_delta
    closed = schema.close({"w": Continuous("w", 0, 1), "city": Categorical("city", ("Bern",))})
    assert closed.names == schema.names
    with pytest.raises(ValueError, match="declared twice"):
        OpenSchema((Ordinal("w", 0, 9), BuyEdges("w", 0, 1)))
    with pytest.raises(ValueError, match="take Schema"):
        OpenSchema((Ordinal("w", 0, 9),))
    with pytest.raises(TypeError, match="BuyBounds, BuyEdges or BuyCategories, got str"):
        OpenSchema(("w",))  # type: ignore[arg-type]


FILE = """
schema_version = 1
signed_by = "A. Steward"

[[columns]]
name = "income"
kind = "continuous"
buy = "bounds"
largest = 1e7
levels = 5

[[columns]]
name = "age"
kind = "ordinal"
lower = 0
upper = 99

[[columns]]
name = "weight"
kind = "continuous"
buy = "edges"
lower = 0
upper = 150
bins = 16
nullable = true

[[columns]]
name = "city"
kind = "categorical"
buy = "categories"
other = "elsewhere"
"""
OPEN = OpenSchema(
    (
        BuyBounds("income", largest=1e7, levels=5),
        Ordinal("age", 0, 99),
        BuyEdges("weight", 0, 150, bins=16, nullable=True),
        BuyCategories("city", other="elsewhere"),
    )
)


def test_file(tmp_path: Path):
    (tmp_path / "schema.toml").write_text(FILE)
    assert read_open_schema(tmp_path / "schema.toml") == OPEN
    with pytest.raises(ValueError, match=r"^schema\.toml: column 'income' is to be bought with budget"):
        read_schema(tmp_path / "schema.toml")
    closed = 'schema_version = 1\n[[columns]]\nname = "age"\nkind = "ordinal"\nlower = 0\nupper = 9'
    (tmp_path / "schema.toml").write_text(closed)
    assert read_open_schema(tmp_path / "schema.toml") == Schema((Ordinal("age", 0, 9),))


def test_round_trip():
    assert open_schema_from_dict(json.loads(json.dumps(open_schema_to_dict(OPEN)))) == OPEN


MISTAKES = [
    (
        {"name": "x", "kind": "continuous", "buy": "everything"},
        "column 'x': buy must be one of bounds, edges, categories, got 'everything'",
    ),
    ({"name": "x", "kind": "ordinal", "buy": "edges"}, "column 'x': edges can be bought for kind continuous, got 'ordinal'"),
    ({"name": "x", "buy": "categories"}, "got None"),
    ({"kind": "ordinal", "buy": "bounds"}, "column 1 lacks a name"),
    ({"name": "x", "kind": "continuous", "buy": "edges", "lower": 0}, "column 'x' lacks 'upper'"),
    ({"name": "x", "kind": "continuous", "buy": "bounds", "lower": 0}, "column 'x': unknown key 'lower'"),
    ({"name": "x", "kind": "continuous", "buy": "bounds", "largset": 8}, "did you mean 'largest'?"),
    ({"name": "x", "kind": "continuous", "buy": "bounds", "largest": "8"}, "column 'x': largest must be a number"),
    ({"name": "x", "kind": "continuous", "buy": "bounds", "levels": 1.5}, "column 'x': levels must be a whole number"),
    ({"name": "x", "kind": "continuous", "buy": "bounds", "nullable": 1}, "column 'x': nullable must be true or false"),
    ({"name": "x", "kind": "continuous", "buy": "bounds", "largest": -8}, "column 'x': largest must be positive"),
    ({"name": "x", "kind": "categorical", "buy": "categories", "other": 1.5}, "column 'x': other must be"),
]


@pytest.mark.parametrize(("column", "message"), MISTAKES)
def test_mistakes_in_files(column: dict[str, object], message: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        open_schema_from_dict({"schema_version": 1, "columns": [column]})
    assert message in str(caught.value)


def test_a_draft_with_gaps_must_be_signed():
    with pytest.raises(ValueError, match="this draft is not signed"):
        open_schema_from_dict({"schema_version": 1, "signed_by": "", "columns": []})
