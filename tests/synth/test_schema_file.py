"""Schema files: what is written is read back, and each mistake of a person is named with its column and its key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema
from synth.schema_file import read_schema, schema_from_dict, schema_to_dict, write_schema
from tests.synth.tables import EVERY_KIND, columns

AGE = '[[columns]]\nname = "age"\nkind = "ordinal"\n'


def write(path: Path, text: str) -> Path:
    file = path / "schema.toml"
    file.write_text(text, encoding="utf-8")
    return file


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(columns(), min_size=1, max_size=3), st.lists(st.text(min_size=1), min_size=3, max_size=3, unique=True))
def test_round_trip(tmp_path: Path, some: list[Column], names: list[str]):
    made = []
    for column, name in zip(some, names, strict=False):
        content = {**schema_to_dict(Schema((column,)))["columns"][0], "name": name}  # type: ignore[index, dict-item]
        made.append(schema_from_dict({"schema_version": 1, "columns": [content]}).columns[0])
    schema = Schema(tuple(made))
    write_schema(schema, tmp_path / "schema.toml")
    assert read_schema(tmp_path / "schema.toml") == schema
    assert schema_from_dict(json.loads(json.dumps(schema_to_dict(schema)))) == schema


def test_every_kind_comes_back(tmp_path: Path):
    write_schema(EVERY_KIND, tmp_path / "schema.toml")
    assert read_schema(tmp_path / "schema.toml") == EVERY_KIND


def test_a_file_by_hand(tmp_path: Path):
    text = """
    schema_version = 1
    signed_by = "A. Steward"
    columns = [
      {name = "sex", kind = "categorical", categories = ["f", "m"], other = "x", nullable = true},
      {name = "weight", kind = "continuous", lower = 0, upper = 150, edges = [50, 80.5]},
      {name = "born", kind = "datetime", lower = 1900-01-01, upper = 2024-12-31},
      {name = "seen", kind = "datetime", lower = 2024-01-01T00:00:00, upper = "2024-01-02", unit = "h"},
    ]
    """
    assert read_schema(write(tmp_path, text)) == Schema(
        (
            Categorical("sex", ("f", "m"), other="x", nullable=True),
            Continuous("weight", 0.0, 150.0, edges=(50.0, 80.5)),
            Datetime("born", "1900-01-01", "2024-12-31"),
            Datetime("seen", "2024-01-01T00:00:00", "2024-01-02", unit="h"),
        )
    )


MISTAKES = {
    "unknown key": (f"{AGE}lower = 0\nuper = 99", "column 'age': unknown key 'uper'; did you mean 'upper'?"),
    "key of another kind": (f"{AGE}lower = 0\nupper = 99\nedges = [3]", "column 'age': unknown key 'edges'; known are name, kind, lower"),
    "missing bound": (f"{AGE}lower = 0", "column 'age' lacks 'upper'; declare it from public knowledge, or buy it with budget"),
    "missing categories": ('[[columns]]\nname = "sex"\nkind = "categorical"', "column 'sex' lacks 'categories'; declare it from public"),
    "no name": ('[[columns]]\nkind = "ordinal"', "column 1 lacks a name"),
    "no kind": ('[[columns]]\nname = "age"', "column 'age': kind must be one of categorical, ordinal, continuous, datetime, got None"),
    "unknown kind": ('[[columns]]\nname = "age"\nkind = "integer"', "got 'integer'"),
    "fractional bound": (f"{AGE}lower = 0.5\nupper = 99", "column 'age': lower must be a whole number"),
    "text bound": (f'{AGE}lower = "0"\nupper = 99', "column 'age': lower must be a whole number"),
    "boolean step": (f"{AGE}lower = 0\nupper = 9\nstep = true", "column 'age': step must be a whole number"),
    "step 0": (f"{AGE}lower = 0\nupper = 9\nstep = 0", "column 'age': step must be a whole number >= 1"),
    "bounds the wrong way": (f"{AGE}lower = 9\nupper = 0", "column 'age': lower must be finite and below upper"),
    "nullable text": (f'{AGE}lower = 0\nupper = 9\nnullable = "no"', "column 'age': nullable must be true or false"),
    "no columns": ("columns = []", "a schema must have a column"),
    "columns no list": ("columns = 3", "columns must be a list of tables"),
    "columns absent": ("", "the schema lacks 'columns'; add it"),
    "twice": (f"{AGE}lower=0\nupper=9\n{AGE}lower=0\nupper=9", "column 'age' is declared twice"),
    "unknown top key": (f"epsilon = 3\n{AGE}lower=0\nupper=9", "the schema: unknown key 'epsilon'"),
    "bins and edges": ('[[columns]]\nname="x"\nkind="continuous"\nlower=0\nupper=1\nbins=2\nedges=[0.5]', "leave out one of them"),
    "edges of text": ('[[columns]]\nname="x"\nkind="continuous"\nlower=0\nupper=1\nedges=["0.5"]', "edges must be a list of numbers"),
    "mixed labels": ('[[columns]]\nname="x"\nkind="categorical"\ncategories=["a", 1]', "of one type"),
    "time zone": ('[[columns]]\nname="t"\nkind="datetime"\nlower=2024-01-01T00:00:00Z\nupper=2025-01-01', "without a time zone"),
    "now": ('[[columns]]\nname="t"\nkind="datetime"\nlower="2024-01-01"\nupper="now"', "column 't': times must be ISO 8601"),
    "no such day": (
        '[[columns]]\nname="t"\nkind="datetime"\nlower="2024-02-30"\nupper="2025"',
        "days and hours that exist",
    ),
    "no TOML": ("[[columns", "schema.toml is not valid TOML"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake: str, tmp_path: Path):
    text, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=r"^schema\.toml") as caught:
        read_schema(write(tmp_path, f"schema_version = 1\n{text}"))
    assert message in str(caught.value)


@pytest.mark.parametrize("signed_by", ['""', '"  "', "false"])
def test_an_unsigned_draft_is_no_schema(signed_by: str, tmp_path: Path):
    text = f"schema_version = 1\nsigned_by = {signed_by}\n{AGE}lower = 0\nupper = 9"
    with pytest.raises(ValueError, match=r"this draft is not signed: .* put your name into signed_by"):
        read_schema(write(tmp_path, text))


def test_other_files(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_schema(tmp_path / "none.toml")
    with pytest.raises(ValueError, match="schema_version must be 1, got 2"):
        read_schema(write(tmp_path, f"schema_version = 2\n{AGE}lower = 0\nupper = 9"))
    (tmp_path / "schema.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not valid TOML"):
        read_schema(tmp_path / "schema.toml")


def test_bins_stay_bins_and_edges_stay_edges():
    bins, edges = (schema_to_dict(Schema((Continuous("x", 0, 1, **kind),)))["columns"] for kind in ({"bins": 4}, {"edges": (0.5,)}))
    assert bins == [{"name": "x", "kind": "continuous", "lower": 0.0, "upper": 1.0, "bins": 4}]
    assert edges == [{"name": "x", "kind": "continuous", "lower": 0.0, "upper": 1.0, "edges": [0.5]}]
    assert schema_to_dict(Schema((Ordinal("n", 0, 1, nullable=True),)))["columns"][0]["nullable"] is True  # type: ignore[index, call-overload]
