"""Everything a record holds has one strict JSON form, and nothing else has any."""

from __future__ import annotations

import json
import math
from enum import Enum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms import Neighboring, PrivacyGuarantee
from mechanisms.json_ready import json_ready, number_from_json


class Color(Enum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (np.bool_(False), False),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (Neighboring.REPLACE, "replace"),
        (Color.RED, "1"),
        ((1, [2.0, "a"]), [1, [2.0, "a"]]),
        ({1: np.arange(3), "b": (math.inf,)}, {"1": [0, 1, 2], "b": ["inf"]}),
        (np.array(2.5), 2.5),
        (np.array([[True], [False]]), [[True], [False]]),
        ([], []),
    ],
)
def test_forms(value: object, expected: object):
    ready = json_ready(value)
    assert ready == expected
    assert type(ready) is type(expected)
    json.dumps(ready, allow_nan=False)


def test_records_are_written_by_their_to_dict():
    record = PrivacyGuarantee(math.inf, 0.0, Neighboring.ADD_REMOVE)
    assert json_ready([record]) == [record.to_dict()]


@pytest.mark.parametrize("value", [math.nan, np.float64("nan"), [1.0, math.nan], np.array([math.nan]), {"a": math.nan}])
def test_nan_is_refused(value: object):
    with pytest.raises(ValueError, match="NaN"):
        json_ready(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, b"a", json])
def test_other_types_are_refused(value: object):
    with pytest.raises(TypeError, match="no JSON form"):
        json_ready(value)


@given(st.floats(allow_nan=False))
def test_numbers_come_back(number: float):
    assert number_from_json(json.loads(json.dumps(json_ready(number), allow_nan=False))) == number


def test_reading_refuses_other_types():
    with pytest.raises(TypeError, match="a number was expected, got list"):
        number_from_json([1])
