"""Columns: codes are counted as they are encoded; what floats or codes can't hold is refused when it is declared."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema
from tests.synth.tables import EVERY_KIND


def test_sizes():
    assert EVERY_KIND.sizes == (5, 3, 4, 2, 3, 15, 11, 7, 5, 461, 2680, 71)
    assert Categorical("x", ("a", "b"), other="b").size == 2
    assert Ordinal("x", 0, 10, step=5).size == 3
    assert EVERY_KIND.index("dose") == 8
    with pytest.raises(ValueError, match="column 'x' is not in the schema"):
        EVERY_KIND.index("x")


@settings(max_examples=500)
@given(st.floats(-1e300, 1e300), st.integers(1, 200), st.floats(0.1, 20))
def test_equal_bins_that_are_let_through_can_be_told_apart(lower: float, bins: int, spacings: float):
    """Also at the narrowest width allowed, edges increase, and still do when scaled to [0, 1]."""
    upper = lower + spacings * bins * math.ulp(lower)
    try:
        column = Continuous("x", lower, upper, bins=bins)
    except ValueError:
        return
    edges = np.array(column.all_edges)
    assert (np.diff(edges) > 0).all()
    assert (np.diff((edges - edges[0]) / (edges[-1] - edges[0])) > 0).all()


BAD = {
    "bins among subnormals": (lambda: Continuous("x", 8.379480119667951e-308, 8.64850131e-308, bins=66), "narrower than floats"),
    "bins meet": (lambda: Continuous("x", 1.0, math.nextafter(1, 2)), "narrower than floats can tell apart"),
    "span overflows": (lambda: Continuous("x", -1.7e308, 1.7e308), "upper - lower must be finite"),
    "edges meet once scaled": (lambda: Continuous("x", -1, 1, edges=(1e-300, 2e-300)), "edges lie closer together than floats"),
    "edges fall": (lambda: Continuous("x", 0, 1, edges=(0.5, 0.2)), "edges must increase"),
    "edge on a bound": (lambda: Continuous("x", 0, 1, edges=(0.0,)), "strictly between the bounds"),
    "nan bound": (lambda: Continuous("x", math.nan, 1), "lower must be finite and below upper"),
    "equal bounds": (lambda: Ordinal("x", 3, 3), "lower must be finite and below upper"),
    "whole numbers too large": (lambda: Ordinal("x", 0, 2**50 + 1, step=2**30), "within 2^50 of zero"),
    "label too large": (lambda: Categorical("x", (1, 2**51)), "within 2^50 of zero"),
    "too many codes": (lambda: Ordinal("x", 0, 2**40), "more than can be counted"),
    "too many units": (lambda: Datetime("x", "1900", "2024", unit="us", step=10**9), "take a coarser unit"),
    "now": (lambda: Datetime("x", "2024-01-01", "now"), "times must be ISO 8601 text"),
    "NaT": (lambda: Datetime("x", "NaT", "2024-01-01"), "times must be ISO 8601 text"),
    "time zone": (lambda: Datetime("x", "2024-01-01T00:00Z", "2025-01-01"), "without a time zone"),
    "no such day": (lambda: Datetime("x", "2024-02-30", "2025-01-01"), "days and hours that exist"),
    "unit": (lambda: Datetime("x", "2024", "2025", unit="ns"), "unit must be one of"),
    "twice": (lambda: Categorical("x", ("a", "a")), "a category is listed twice"),
    "no label": (lambda: Categorical("x", ()), "list them, or buy them"),
    "no column": (lambda: Schema(()), "a schema must have a column"),
    "column twice": (lambda: Schema((Ordinal("x", 0, 1), Ordinal("x", 0, 2))), "column 'x' is declared twice"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused_declarations(case: str):
    declare, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        declare()


WRONG_TYPE = {
    "mixed labels": lambda: Categorical("x", ("a", 1)),
    "boolean among numbers": lambda: Categorical("x", (1, True)),
    "other of another type": lambda: Categorical("x", ("a",), other=1),
    "text for labels": lambda: Categorical("x", "ab"),  # type: ignore[arg-type]
    "fraction": lambda: Ordinal("x", 0.5, 3),  # type: ignore[arg-type]
    "no name": lambda: Ordinal("", 0, 3),
    "no column": lambda: Schema(("x",)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", WRONG_TYPE)
def test_refused_types(case: str):
    with pytest.raises(TypeError, match=r"must be|must all be"):
        WRONG_TYPE[case]()


@pytest.mark.parametrize("column", EVERY_KIND.columns, ids=lambda column: column.name)
def test_missing_is_one_more_code(column: Column):
    assert column.size == column.n_values + column.nullable
