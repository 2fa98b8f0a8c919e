"""Each check lets through what is allowed and names the argument, the value and the range otherwise."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from mechanisms import validation as v


def test_checks_return_floats():
    for value in (1, 1.0, np.float32(1), np.int64(1)):
        assert type(v.positive(x=value)) is float
    assert v.non_negative(x=0) == 0.0
    assert v.in_range(0, 1, closed="both", x=1) == 1.0


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, -math.inf])
def test_positive_refuses(value: float):
    with pytest.raises(ValueError, match="noise_multiplier"):
        v.positive(noise_multiplier=value)


@pytest.mark.parametrize("value", [-1e-300, math.inf, math.nan])
def test_non_negative_refuses(value: float):
    with pytest.raises(ValueError, match="rho"):
        v.non_negative(rho=value)


@pytest.mark.parametrize("value", ["1", b"1", True, None, [1], {}])
def test_other_types_are_refused(value: object):
    with pytest.raises(TypeError, match=re.escape(f"x must be a number, got {type(value).__name__}")):
        v.positive(x=value)


@pytest.mark.parametrize(
    ("closed", "allowed", "shown"),
    [("neither", [0.5], "(0, 1)"), ("left", [0, 0.5], "[0, 1)"), ("right", [0.5, 1], "(0, 1]"), ("both", [0, 0.5, 1], "[0, 1]")],
)
def test_ends_of_a_range(closed: str, allowed: list[float], shown: str):
    for value in (-0.1, 0, 0.5, 1, 1.1):
        if value in allowed:
            assert v.in_range(0, 1, closed=closed, x=value) == value
        else:
            with pytest.raises(ValueError, match=re.escape(f"x must be in {shown}, got {value}")):
                v.in_range(0, 1, closed=closed, x=value)


def test_hints_for_the_usual_slips():
    with pytest.raises(ValueError, match=re.escape("level must be in (0, 1), got 95; did you mean 0.95?")):
        v.probability_level(95)
    with pytest.raises(ValueError, match=re.escape("did you mean 1e-05?")):
        v.valid_delta(1e5)
    with pytest.raises(ValueError, match=re.escape("sample_rate must be in (0, 1], got 64")):
        v.valid_sample_rate(64)


@pytest.mark.parametrize(("value", "expected"), [(3, 3), (3.0, 3), (2.9999999999, 3), (np.int8(3), 3), (0, 0)])
def test_whole_number_accepts(value: float, expected: int):
    result = v.whole_number(n=value)
    assert (result, type(result)) == (expected, int)


@pytest.mark.parametrize("value", [-1, 2.5, 3.00001, math.nan, math.inf])
def test_whole_number_refuses(value: float):
    with pytest.raises(ValueError, match="n must be a"):
        v.whole_number(n=value)


def test_whole_number_minimum():
    with pytest.raises(ValueError, match="steps must be a whole number >= 1, got 0"):
        v.whole_number(1, steps=0)


def test_one_of():
    assert v.one_of(("a", "b"), method="a") == "a"
    with pytest.raises(ValueError, match=re.escape("method must be one of 'a', 'b', got 'c'")):
        v.one_of(("a", "b"), method="c")
    with pytest.raises(ValueError, match="got 1"):
        v.one_of(("a",), method=1)


def test_lengths_and_axes():
    assert v.same_length(a=[1, 2], b=np.zeros((2, 3))) == 2
    with pytest.raises(ValueError, match="a: 2, b: 3"):
        v.same_length(a=[1, 2], b=[1, 2, 3])
    with pytest.raises(ValueError, match=re.escape("scores must have one axis, got shape (1, 2)")):
        v.one_dimensional(scores=[[1, 2]])


def test_a_check_takes_one_argument():
    with pytest.raises(TypeError, match="exactly one"):
        v.positive(a=1, b=2)
    with pytest.raises(TypeError, match="exactly one"):
        v.positive()
