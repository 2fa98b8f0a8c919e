"""A schema with every kind of column, and strategies for schemas and codes."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from synth.encoded import Codes
from synth.schema import UNITS, Categorical, Column, Continuous, Datetime, Ordinal, Schema

EVERY_KIND = Schema(
    (
        Categorical("color", ("red", "green", "blue"), other="else", nullable=True),
        Categorical("size", (3, 1, 2)),
        Categorical("size or none", (3, 1, 2), nullable=True),
        Categorical("smoker", (False, True)),
        Categorical("smoker or none", (True, False), nullable=True),
        Ordinal("age", -5, 99, step=7),
        Ordinal("children", 0, 9, nullable=True),
        Continuous("weight", 0.0, 150.0, bins=7),
        Continuous("dose", -1.0, 1.0, edges=(-0.1, 0.1, 0.7), nullable=True),
        Datetime("born", "1899-01-01", "2024-12-31", step=100),
        Datetime("admitted", "2024-01-01", "2024-02-01", unit="us", step=10**9, nullable=True),
        Datetime("year", "1950", "2020", unit="Y"),
    )
)


def random_codes(schema: Schema, n_rows: int, rng: np.random.Generator) -> Codes:
    """Uniform codes."""
    return np.column_stack([rng.integers(0, size, n_rows) for size in schema.sizes]).astype(np.int32)


labels = st.one_of(
    st.lists(st.text(max_size=4), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=5, unique=True),
    st.permutations([True, False]),
).map(tuple)


@st.composite
def continuous(draw: st.DrawFn, name: str = "x") -> Continuous:
    """Bounds of any size with equal bins, or edges that may be neighboring floats."""
    lower, upper = sorted(draw(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=2, unique=True)))
    try:
        if draw(st.booleans()):
            return Continuous(name, lower, upper, bins=draw(st.integers(1, 50)), nullable=draw(st.booleans()))
        near = draw(st.floats(lower, upper))
        steps = draw(st.lists(st.sampled_from([near, np.nextafter(near, np.inf), (lower + upper) / 2, lower / 3 + upper / 2]), max_size=3))
        edges = tuple(sorted({float(edge) for edge in steps if lower < edge < upper}))
        return Continuous(name, lower, upper, edges=edges, nullable=draw(st.booleans()))
    except ValueError:  # closer together than floats can tell apart
        return Continuous(name, lower, lower + max(1.0, abs(lower)), nullable=draw(st.booleans()))


@st.composite
def columns(draw: st.DrawFn, name: str = "x") -> Column:
    """Any column."""
    kind = draw(st.sampled_from(["categorical", "ordinal", "continuous", "datetime"]))
    nullable = draw(st.booleans())
    if kind == "categorical":
        categories = draw(labels)
        other = draw(st.sampled_from([None, categories[-1]]))
        return Categorical(name, categories, other=other, nullable=nullable)
    if kind == "continuous":
        return draw(continuous(name))
    span, step = draw(st.integers(1, 2**40)), draw(st.integers(1, 2**20))
    step = max(step, span // 2**30 + 1)
    if kind == "ordinal":
        lower = draw(st.integers(-(2**49), 2**49))
        return Ordinal(name, lower, lower + span, step=step, nullable=nullable)
    unit = draw(st.sampled_from(UNITS))
    lower, upper = sorted(draw(st.lists(st.integers(0, 9998), min_size=2, max_size=2, unique=True)))
    if unit == "us":
        upper = min(upper, lower + 60)
    return Datetime(
        name, f"{lower:04}-01-01", f"{upper + 1:04}-01-01", unit=unit, step=max(step, 2**22) if unit in ("ms", "us", "s") else step
    )
