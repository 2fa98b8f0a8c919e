"""Rows that can't exist: masks against a loop over values, refusals."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.constraints import Forbidden, bind_all
from synth.decode import decode
from synth.encode import encode
from synth.encoded import EncodedTable
from synth.forbidden import ForbiddenCells
from synth.repair import repair_rows
from synth.schema import Categorical, Continuous, Datetime, Ordinal, Schema

FALSE_ALARM = 1e-6
SCHEMA = Schema(
    (
        Categorical("sex", ("f", "m"), nullable=True),
        Categorical("pregnant", (False, True), nullable=True),
        Ordinal("age", 0, 99, step=5, nullable=True),
        Continuous("dose", 0, 10, bins=5),
        Datetime("seen", "2024-01-01", "2024-12-31", step=31),
        Categorical("status", ("single", "widowed"), other="else"),
    )
)


def test_mask_of_labels_and_missing():
    bound = Forbidden({"pregnant": [True, None], "sex": ["m"]}).bind(SCHEMA)
    assert bound.columns == (0, 1)
    assert np.argwhere(bound.mask).tolist() == [[2, 0], [2, 2]]
    assert Forbidden({"status": ("else",)}).bind(SCHEMA).mask.tolist() == [False, False, True]


RANGES = {
    "closed": ("age", (5, 14), range(2, 4)),
    "open below": ("age", (None, 9), range(1, 3)),
    "open above": ("age", (95, None), range(20, 21)),
    "beyond the bounds": ("age", (-50, 4), range(1, 2)),
    "infinite": ("age", (90, np.inf), range(19, 21)),
    "between whole numbers": ("age", (4.5, 9.5), range(2, 3)),
    "missing": ("age", [None], range(0, 1)),
    "real": ("dose", (2, 6.0), range(1, 3)),
    "real to the end": ("dose", (8, 10), range(4, 5)),
    "real beyond": ("dose", (-np.inf, 2), range(0, 1)),
    "days": ("seen", ("2024-02-01", "2024-04-02"), range(1, 3)),
    "days open": ("seen", ("2024-12-07", None), range(11, 12)),
    "days far": ("seen", (None, "9999-01-01T10"), None),
}


@pytest.mark.parametrize("case", RANGES)
def test_mask_of_ranges(case: str):
    name, listed, codes = RANGES[case]
    if codes is None:
        with pytest.raises(ValueError, match="forbids every row"):
            Forbidden({name: listed}).bind(SCHEMA)
        return
    assert np.flatnonzero(Forbidden({name: listed}).bind(SCHEMA).mask).tolist() == list(codes)


@given(st.integers(1, 7), st.integers(0, 12), st.integers(0, 12), st.integers(0, 2**32))
def test_a_range_is_a_mask_or_refused(step: int, one: int, other: int, seed: int):
    """Every whole number of the column is looked at: a cell all inside, all outside, or the constraint is refused."""
    low, high = sorted((one, other))
    column = Ordinal("n", 2, 11, step=step)
    inside = {n: low <= n <= high for n in range(2, 12)}
    cells = [[inside[n] for n in inside if (n - 2) // step == code] for code in range(column.size)]
    if all(inside.values()) or not any(inside.values()) or any(len(set(cell)) > 1 for cell in cells):
        with pytest.raises(ValueError, match="must cover whole cells|forbids every row"):
            Forbidden({"n": (low, high)}).bind(Schema((column,)))
        return
    bound = Forbidden({"n": (low, high)}).bind(Schema((column,)))
    assert bound.mask.tolist() == [cell[0] for cell in cells]
    codes = np.random.default_rng(seed).integers(0, column.size, (50, 1))
    values = decode(EncodedTable(codes), Schema((column,)), rng=seed, backend="pyarrow")["n"].to_pylist()
    assert bound.mask[codes[:, 0]].tolist() == [inside[value] for value in values]


def test_violations_are_those_of_values():
    rules = bind_all([Forbidden({"sex": ["m"], "pregnant": [True]}), Forbidden({"age": (0, 14), "status": ["widowed"]})], SCHEMA)
    table = {
        "sex": ["m", "f", "f", None, "m"],
        "pregnant": [True, True, False, True, None],
        "age": [30, 12, 14, 3, None],
        "dose": [1.0] * 5,
        "seen": np.full(5, "2024-05-05", dtype="datetime64[D]"),
        "status": ["single", "single", "widowed", "widowed", "widowed"],
    }
    codes = encode(table, SCHEMA).codes
    assert ForbiddenCells(rules, SCHEMA.sizes).violations(codes).tolist() == [True, False, True, True, False]
    assert ForbiddenCells((), SCHEMA.sizes).violations(codes).tolist() == [False] * 5
    fixed = repair_rows(codes, rules, SCHEMA.sizes, 0)
    assert (fixed != codes).sum(axis=1).tolist() == [1, 0, 1, 1, 0]


def test_constraints_that_forbid_everything_together_are_refused():
    with pytest.raises(ValueError, match="constraints on 'sex' forbid every row"):
        bind_all([Forbidden({"sex": ["m", None]}), Forbidden({"sex": ["f"]})], SCHEMA)


def test_same_columns_share_a_mask():
    rules = bind_all([Forbidden({"sex": ["m"], "pregnant": [True]}), Forbidden({"pregnant": [None], "sex": ["f"]})], SCHEMA)
    assert [rule.columns for rule in rules] == [(0, 1)]
    assert np.argwhere(rules[0].mask).tolist() == [[1, 0], [2, 2]]


def test_records_are_frozen_and_travel():
    bound = Forbidden({"sex": ["m"]}).bind(SCHEMA)
    for copy in (bound, pickle.loads(pickle.dumps(bound))):
        assert copy.columns == (0,)
        assert copy.mask.tolist() == [False, False, True]
    with pytest.raises(ValueError, match="read-only"):
        bound.mask[0] = True
    rule = Forbidden({"sex": ["m"], "age": (0, 4)})
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert hash(rule) == hash(Forbidden({"sex": ["m"], "age": (0, 4)}))


REFUSED = {
    "unknown column": ({"height": (0, 1)}, "column 'height' is not in the schema"),
    "unknown label": ({"sex": ["x"]}, "column 'sex' has no category 'x'"),
    "label of another type": ({"pregnant": [1]}, "column 'pregnant' has no category 1"),
    "missing where none is": ({"status": [None]}, "column 'status' is not nullable"),
    "cut cell": ({"age": (0, 12)}, "column 'age': the range must cover whole cells"),
    "cut bin": ({"dose": (0, 3)}, "column 'dose': the range must cover whole cells"),
    "cut days": ({"seen": ("2024-02-02", None)}, "column 'seen': the range must cover whole cells"),
    "nothing covered": ({"age": (200, 300)}, "must cover whole cells"),
    "list for a range": ({"age": [0, 4]}, "a tuple (low, high)"),
    "three ends": ({"age": (0, 4, 9)}, "a tuple (low, high)"),
    "wrong way": ({"age": (9, 5)}, "low must not be above high"),
    "text end": ({"age": ("0", 4)}, "ends of the range must be numbers"),
    "nan": ({"dose": (float("nan"), 4)}, "ends of the range must be numbers"),
    "no time": ({"seen": ("now", None)}, "column 'seen': times must be ISO 8601"),
    "all": ({"sex": ["m", "f", None]}, "forbids every row"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_constraints(case: str):
    values, message = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        Forbidden(values).bind(SCHEMA)


def test_refused_records():
    with pytest.raises(ValueError, match="at least one column"):
        Forbidden({})
    for listed in ("m", 3, [], None):
        with pytest.raises(TypeError, match="column 'sex': values must be a list of labels"):
            Forbidden({"sex": listed})  # type: ignore[dict-item]
    wide = Schema((Ordinal("a", 0, 20_000), Ordinal("b", 0, 20_000)))
    with pytest.raises(ValueError, match="more than 268,435,456 cells"):
        Forbidden({"a": (0, 1), "b": (0, 1)}).bind(wide)
