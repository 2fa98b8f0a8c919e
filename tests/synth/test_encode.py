"""Encoding: every library and type that may hold a column, every rule of the schema, and errors that show no value."""

from __future__ import annotations

import datetime as dt
import traceback

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.decode import codes_of
from synth.encode import encode, encode_column
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema
from tests.synth.tables import EVERY_KIND, continuous

COLOR = Categorical("color", ("red", "green"), nullable=True)
FLAG = Categorical("flag", (False, True), nullable=True)
GRADE = Categorical("grade", (3, 1), other=9, nullable=True)
AGE = Ordinal("age", -20, 99, step=5, nullable=True)
MONTH = Datetime("month", "2020-01-01", "2020-12-31", unit="M", nullable=True)

TEXTS = {
    "list": ["red", None, "green"],
    "numpy": np.array(["red", None, "green"], dtype=object),
    "pandas str": pd.Series(["red", None, "green"]),
    "pandas object with nan": pd.Series(["red", np.nan, "green"], dtype=object),
    "pandas string": pd.Series(["red", pd.NA, "green"], dtype="string[python]"),
    "pandas categorical": pd.Series(["red", None, "green"], dtype=pd.CategoricalDtype(["blue", "green", "red"])),
    "polars": pl.Series(["red", None, "green"]),
    "polars categorical": pl.Series(["red", None, "green"], dtype=pl.Categorical),
    "polars enum": pl.Series(["red", None, "green"], dtype=pl.Enum(["green", "red"])),
    "arrow": pa.array(["red", None, "green"]),
    "arrow view": pa.array(["red", None, "green"], pa.string_view()),
    "arrow dictionary": pa.array(["red", None, "green"]).dictionary_encode(),
    "arrow chunks": pa.chunked_array([pa.array(["red", None]).dictionary_encode(), pa.array(["green"]).dictionary_encode()]),
    "arrow dictionary with null": pa.DictionaryArray.from_arrays([1, 0, 2], pa.array([None, "red", "green"])),
}


@pytest.mark.parametrize("form", TEXTS)
def test_texts(form: str):
    assert encode_column(TEXTS[form], COLOR)[0].tolist() == [1, 0, 2]


FLAGS = {
    "list": [True, None, False],
    "pandas object": pd.Series([True, None, False]),
    "pandas boolean": pd.Series([True, None, False], dtype="boolean"),
    "pandas categorical": pd.Series([True, None, False], dtype="category"),
    "polars": pl.Series([True, None, False]),
    "numpy masked": np.ma.masked_array([True, True, False], [False, True, False]),
}


@pytest.mark.parametrize("form", FLAGS)
def test_booleans(form: str):
    assert encode_column(FLAGS[form], FLAG)[0].tolist() == [2, 0, 1]


WHOLE = {
    "list": [3, None, 1, 7],
    "pandas float": pd.Series([3, None, 1, 7]),
    "pandas Int64": pd.Series([3, None, 1, 7], dtype="Int64"),
    "pandas UInt8": pd.Series([3, None, 1, 7], dtype="UInt8"),
    "pandas categorical": pd.Series([3, None, 1, 7], dtype="category"),
    "pandas object": pd.Series([3, None, 1, 7], dtype=object),
    "polars": pl.Series([3, None, 1, 7], dtype=pl.Int8),
    "polars nan": pl.Series([3.0, float("nan"), 1.0, 7.0]),
    "polars decimal": pl.Series(["3", None, "1", "7"]).cast(pl.Decimal(10, 2)),
    "numpy half": np.array([3, np.nan, 1, 7], dtype=np.float16),
}


@pytest.mark.parametrize("form", WHOLE)
def test_whole_numbers(form: str):
    assert encode_column(WHOLE[form], GRADE)[0].tolist() == [1, 0, 2, 3]
    if "categorical" not in form:
        assert encode_column(WHOLE[form], Ordinal("n", 1, 5, nullable=True))[0].tolist() == [3, 0, 1, 5]
        assert encode_column(WHOLE[form], Continuous("n", 1, 5, bins=2, nullable=True))[0].tolist() == [2, 0, 1, 2]


TIMES = {
    "list of dates": [dt.date(2020, 3, 5), None, dt.date(1, 1, 1), dt.date(9999, 1, 1)],
    "list of datetimes": [dt.datetime(2020, 3, 5, 13), None, dt.datetime(1, 1, 1), dt.datetime(9999, 1, 1)],
    "pandas": pd.Series(pd.to_datetime(["2020-03-05", None, "1900-01-01", "2100-01-01"])).astype("datetime64[ns]"),
    "pandas seconds": pd.Series(np.array(["2020-03-05T13", "NaT", "0001-01-01", "9999-01-01"], dtype="datetime64[s]")),
    "polars dates": pl.Series([dt.date(2020, 3, 5), None, dt.date(1, 1, 1), dt.date(9999, 1, 1)]),
    "polars ms": pl.Series([dt.datetime(2020, 3, 31, 23), None, dt.datetime(1, 1, 1), dt.datetime(9999, 1, 1)], dtype=pl.Datetime("ms")),
    "arrow date64": pa.array([dt.date(2020, 3, 5), None, dt.date(1, 1, 1), dt.date(9999, 1, 1)], pa.date64()),
    **{
        f"numpy {unit}": np.array(["2020-03", "NaT", "1900-01", "2100-01"], dtype="datetime64[M]").astype(f"datetime64[{unit}]")
        for unit in ("M", "D", "h", "m", "s", "ms", "us", "ns")
    },
}


@pytest.mark.parametrize("form", TIMES)
def test_times(form: str):
    assert encode_column(TIMES[form], MONTH)[0].tolist() == [3, 0, 1, 12]


def test_coarse_times_of_any_size_are_clipped_not_wrapped():
    """Days far from 1970 overflow microseconds."""
    days = pa.array([150_000_000, -150_000_000, 18262], pa.date32())
    column = Datetime("t", "2020-01-01", "2020-01-02", unit="us", step=10**6)
    assert encode_column(days, column)[0].tolist() == [86400, 0, 0]


@pytest.mark.parametrize(
    "values", [[None, None], np.array([np.nan, np.nan]), pd.Series([None, None], dtype="category"), pl.Series([None, None])]
)
@pytest.mark.parametrize("column", [COLOR, FLAG, GRADE, AGE, MONTH, Continuous("x", 0, 1, nullable=True)], ids=lambda column: column.name)
def test_a_column_without_values_has_no_wrong_type(values: object, column: Column):
    codes, positions = encode_column(values, column)
    assert codes.tolist() == [0, 0]
    assert positions.tolist() == [0, 0]


@pytest.mark.parametrize("kind", [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)] + ["float32", "float64"])
def test_ordinal_clips_extremes_of_every_type(kind: str):
    ends = np.finfo(kind) if kind.startswith("float") else np.iinfo(kind)
    values = np.array([ends.min, 7, ends.max], dtype=kind)
    for column in (Ordinal("n", -9, 12, step=2), Ordinal("n", -1000, 1000), Ordinal("n", -(2**50), 2**50, step=2**30)):
        expected = [(min(max(int(value), column.lower), column.upper) - column.lower) // column.step for value in values]
        assert encode_column(values, column)[0].tolist() == expected


def oracle_cell(edges: tuple[float, ...], value: float) -> int:
    """The bin that holds a clipped value: half-open, the last one closed."""
    value = min(max(value, edges[0]), edges[-1])
    if value == edges[-1]:
        return len(edges) - 2
    return next(k for k in range(len(edges) - 1) if edges[k] <= value < edges[k + 1])


@given(continuous(), st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=10))
def test_bins_are_half_open_and_the_last_is_closed(column: Continuous, values: list[float]):
    edges = np.array(column.all_edges)
    near = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf), values])
    codes, positions = encode_column(near, column)
    assert codes.tolist() == [oracle_cell(column.all_edges, value) + column.nullable for value in near]
    assert positions.min() >= 0
    assert positions.max() <= 1
    table = encode({"x": near}, Schema((column,)), positions=True)
    assert np.array_equal(codes_of(Schema((column,)), table.positions, table.codes), table.codes)


def test_positions_scale_values_between_the_bounds():
    schema = Schema((Ordinal("n", 10, 20, step=3), Continuous("x", -1, 1, bins=3), COLOR, MONTH))
    table = encode(
        {
            "n": [10, 13, 25],
            "x": [-1.0, 0.5, 7.0],
            "color": ["red", "green", None],
            "month": [dt.date(2020, 12, 1), None, dt.date(2020, 4, 9)],
        },
        schema,
        positions=True,
    )
    assert table.positions is not None
    assert table.positions.tolist() == [[0, 0, 0, 1], [0.3, 0.75, 0, 0], [1, 1, 0, 3 / 11]]
    assert encode({name: [] for name in "ab"} | {"n": [10]}, Schema((Ordinal("n", 0, 9),)), ignore_extra=True).positions is None


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table, dict])
def test_every_library_gives_the_same_codes(make: type):
    values = {"spare": [1, 2], "age": [30, 200], "color": ["green", "red"]}
    schema = Schema((COLOR, AGE))
    table = encode(make(values), schema, ignore_extra=True)
    assert table.codes.tolist() == [[2, 11], [1, 24]]
    assert table.codes.flags.c_contiguous
    with pytest.raises(ValueError, match=r"lacks column 'spare' of the table; declare, drop"):
        encode(make(values), schema)
    with pytest.raises(ValueError, match=r"the table lacks columns 'x', 'y'"):
        encode(make(values), Schema((Ordinal("x", 0, 1), COLOR, Ordinal("y", 0, 1))), ignore_extra=True)


def test_only_declared_columns_of_a_lazy_table_are_collected():
    broken = pl.LazyFrame({"age": [3], "text": ["x"]}).with_columns(pl.col("text").cast(pl.Int64))
    assert encode(broken, Schema((AGE,)), ignore_extra=True).n_rows == 1


def test_index_of_pandas_is_no_column():
    table = pd.DataFrame({"age": [1, 2]}, index=pd.Index([10, 20], name="color"))
    assert encode(table, Schema((AGE,))).codes.tolist() == [[5], [5]]
    with pytest.raises(ValueError, match="lacks column 'color'"):
        encode(table, Schema((AGE, COLOR)))


SECRET = 7358913
BAD = {
    "unseen text": (Categorical("a", ("red",)), ["red", f"x{SECRET}"], "not among its categories; list it, declare `other`, or buy"),
    "unseen text in a dictionary": (Categorical("a", ("red",)), pd.Series([f"x{SECRET}"], dtype="category"), "not among its categories"),
    "unseen number": (Categorical("a", (1, 2)), [1, SECRET], "not among its categories"),
    "unseen fraction": (Categorical("a", (1, 2)), [1, SECRET + 0.5], "not among its categories"),
    "unseen boolean": (Categorical("a", (True,)), [False], "not among its categories"),
    "missing category": (Categorical("a", ("red",)), ["red", None], "missing values; declare it nullable=True"),
    "missing number": (Ordinal("a", 0, 9), [SECRET, None], "missing values"),
    "nan": (Continuous("a", 0, 9), [SECRET, np.nan], "missing values"),
    "polars nan": (Continuous("a", 0, 9), pl.Series([float(SECRET), np.nan]), "missing values"),
    "missing time": (Datetime("a", "2020-01-01", "2021-01-01"), np.array(["2020-05-05", "NaT"], dtype="datetime64[s]"), "missing values"),
    "infinite": (Continuous("a", 0, 9), [float(SECRET), np.inf], "infinite"),
    "infinite, nullable": (Continuous("a", 0, 9, nullable=True), [None, -np.inf], "infinite"),
    "infinite whole": (Ordinal("a", 0, 9), [float(SECRET), np.inf], "infinite"),
    "fraction": (Ordinal("a", 0, 9), [SECRET + 0.5], "fractions; round them, or declare the column Continuous"),
    "text for whole": (Ordinal("a", 0, 9), [str(SECRET)], "declared ordinal, and holds string; convert the column; text is not parsed"),
    "text for number": (Continuous("a", 0, 9), [str(SECRET)], "text is not parsed"),
    "text for time": (Datetime("a", "2020-01-01", "2021-01-01"), [f"2020-01-01 {SECRET}"], "text is not parsed"),
    "number for time": (Datetime("a", "2020-01-01", "2021-01-01"), [SECRET], "declared datetime, and holds int64"),
    "number for text": (Categorical("a", ("1", "2")), [SECRET], "declared categorical of text, and holds int64; convert the column, or"),
    "text for number category": (Categorical("a", (1, 2)), [str(SECRET)], "categorical of whole numbers, and holds string"),
    "boolean for number": (Ordinal("a", 0, 9), [True], "holds bool"),
    "boolean for number category": (Categorical("a", (0, 1)), [True], "holds bool"),
    "number for boolean": (Categorical("a", (False, True)), [1], "categorical of booleans, and holds int64"),
    "bytes": (Categorical("a", ("x",)), [b"7358913"], "holds binary"),
    "time zone": (Datetime("a", "2020-01-01", "2021-01-01"), [dt.datetime(2020, 1, 1, tzinfo=dt.UTC)], "has a time zone"),
    "duration": (Datetime("a", "2020-01-01", "2021-01-01"), [dt.timedelta(SECRET)], "holds duration"),
    "time of day": (Datetime("a", "2020-01-01", "2021-01-01"), [dt.time(1)], "holds time64"),
    "mixed": (Categorical("a", ("x",)), ["x", SECRET], "mixes types, or has a type that is no text, number"),
    "mixed pandas": (Categorical("a", ("x",)), pd.Series([SECRET, f"x{SECRET}"], dtype=object), "mixes types"),
    "complex": (Continuous("a", 0, 9), np.array([1j]), "mixes types"),
    "two axes": (Continuous("a", 0, 9), np.zeros((2, 2)), "mixes types"),
    "period": (Datetime("a", "2020-01-01", "2021-01-01"), pd.Series(pd.period_range("2020", periods=2, freq="M")), "column 'a'"),
    "list": (Categorical("a", ("x",)), [["x"]], "holds list"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_named_by_column_and_not_shown(case: str):
    column, values, message = BAD[case]
    with pytest.raises(ValueError, match="column 'a'") as caught:
        encode_column(values, column)
    shown = "".join(traceback.format_exception(caught.value)).rpartition("ValueError: ")[2]
    assert message in shown
    assert str(SECRET) not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_bad_tables():
    schema = Schema((AGE,))
    with pytest.raises(ValueError, match="no rows"):
        encode({"age": []}, schema)
    with pytest.raises(ValueError, match="no rows"):
        encode(pd.DataFrame({"age": pd.Series(dtype=float)}), schema)
    with pytest.raises(ValueError, match="differ in length"):
        encode({"age": [1], "color": ["red", "green"]}, Schema((AGE, COLOR)))
    for table in (pd.DataFrame([[1, 2]], columns=["age", "age"]), pa.table([[1], [2]], names=["age", "age"])):
        with pytest.raises(ValueError, match="two columns named 'age'"):
            encode(table, schema)
    for no_table in ([1, 2], np.zeros((2, 2)), 3, None, pd.Series([1])):
        with pytest.raises(TypeError, match="table must be of pandas, Polars or PyArrow, or a dict of arrays"):
            encode(no_table, schema)  # type: ignore[arg-type]


def test_other_takes_unlisted_values_only():
    column = Categorical("a", ("red", "green"), other="green", nullable=True)
    assert encode_column(["red", "green", "blue", None, ""], column)[0].tolist() == [1, 2, 2, 0, 2]
    assert encode_column([1, 2.5, 4, None, 2.0**60], Categorical("a", (1, 4), other=7, nullable=True))[0].tolist() == [1, 3, 2, 0, 3]


def test_rows_are_encoded_on_their_own(rng: np.random.Generator):
    """The code of a row doesn't depend on other rows: what makes neighboring tables neighboring codes."""
    n = 50
    table = pd.DataFrame(
        {
            "color": rng.choice(["red", "blue", "mauve"], n),
            "size": rng.integers(1, 4, n),
            "size or none": rng.integers(1, 4, n),
            "smoker": rng.random(n) < 0.5,
            "smoker or none": rng.random(n) < 0.5,
            "age": rng.normal(40, 90, n).round(),
            "children": pd.array(rng.integers(0, 30, n), dtype="Int64"),
            "weight": rng.normal(70, 90, n),
            "dose": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
            "born": pd.Timestamp("2000-01-01") + pd.to_timedelta(rng.integers(-90000, 90000, n), unit="D"),
            "admitted": pd.Timestamp("2024-01-10") + pd.to_timedelta(rng.integers(-(10**7), 10**7, n), unit="s"),
            "year": pd.Timestamp("2000-01-01") + pd.to_timedelta(rng.integers(-90000, 90000, n), unit="D"),
        }
    )
    whole = encode(table, EVERY_KIND, positions=True)
    order = rng.permutation(n)[: n // 2]
    part = encode(table.iloc[order], EVERY_KIND, positions=True)
    assert np.array_equal(part.codes, whole.codes[order])
    assert whole.positions is not None
    assert np.array_equal(np.asarray(part.positions), whole.positions[order])
    assert np.array_equal(codes_of(EVERY_KIND, whole.positions, whole.codes), whole.codes)
