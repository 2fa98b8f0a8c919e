"""Batches against steps: whole levels of trees at once, blocks of steps of square roots, wide streams in pieces; inputs of all types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechanisms.continual import smooth
from mechanisms.continual.buffered_toeplitz import InverseFilterStream
from mechanisms.continual.catalog import make_factorization
from mechanisms.continual.exponential_sums import root_as_exponentials
from mechanisms.continual.factorization import Noise
from mechanisms.continual.smooth import codes_from, nth_code
from mechanisms.continual.step_domain import StepDomain
from tests.mechanisms.continual.test_factorizations import replay

TREES = [("tree", True), ("tree", False), ("honaker", False), ("smooth", True), ("k_ary", True), ("k_ary", False)]


def draws(whole: bool, T: int, dim: int, seed: int) -> Noise:
    rng = np.random.default_rng(seed)
    shape = (4 * T + 64, dim)
    return rng.integers(-(10**6), 10**6, shape) if whole else rng.normal(size=shape)


@pytest.mark.parametrize(("name", "whole"), TREES)
@settings(max_examples=15)
@given(T=st.integers(1, 700), cuts=st.lists(st.integers(0, 700), max_size=3), dim=st.sampled_from([1, 2, 9]), seed=st.integers(0, 2**32))
def test_trees_are_bitwise_the_same_in_batches(name: str, whole: bool, T: int, cuts: list[int], dim: int, seed: int):
    z, made = draws(whole, T, dim, seed), make_factorization(name, T)
    one, draw = made.stream(dim), replay(z)
    single = np.stack([one.step(draw) for _ in range(T)])
    many, draw = made.stream(dim), replay(z)
    ends = sorted({T, *(min(cut, T) for cut in cuts)})
    parts = [many.run(draw, end - begin) for begin, end in zip([0, *ends], ends, strict=False) if end > begin]
    np.testing.assert_array_equal(np.concatenate(parts), single)
    assert parts[0].dtype == single.dtype
    for key, value in one.state().items():
        np.testing.assert_array_equal(many.state()[key], value)
        assert many.state()[key].dtype == value.dtype


def test_codes_far_apart_are_taken_one_by_one(monkeypatch: pytest.MonkeyPatch):
    assert codes_from(nth_code(1, 3), nth_code(20, 3), 3, most=1) is None
    found = codes_from(nth_code(5, 3), nth_code(20, 3), 3, most=10**6)
    assert found is not None
    assert found.tolist() == [nth_code(place, 3) for place in range(5, 21)]
    z, made = draws(True, 50, 1, 0), smooth.Smooth(50)
    expected = made.stream(1).run(replay(z), 50)
    monkeypatch.setattr(smooth, "_GAP", 0)
    monkeypatch.setattr(smooth, "_CHUNK", 8)
    np.testing.assert_array_equal(made.stream(1).run(replay(z), 50), expected)


@pytest.mark.parametrize("dim", [31, 32, 1024, 2500])
@pytest.mark.parametrize("scaled", [False, True])
def test_coordinates_of_a_wide_stream_are_streams_of_their_own(dim: int, scaled: bool, rng: np.random.Generator):
    T, root = 40, root_as_exponentials(40)
    scale, gain = (np.exp(rng.normal(size=T)), np.exp(rng.normal(size=T))) if scaled else (None, None)
    z = rng.normal(size=(T, dim))
    wide, draw = InverseFilterStream(root, dim, scale, gain), replay(z)
    steps = np.stack([wide.step(draw) for _ in range(7)])
    noise = np.concatenate([steps, wide.run(draw, 23), np.stack([wide.step(draw) for _ in range(10)])])
    for column in (0, dim // 2, dim - 1):
        narrow, draw = InverseFilterStream(root, 1, scale, gain), replay(z[:, [column]])
        np.testing.assert_allclose(noise[:, column], np.stack([narrow.step(draw) for _ in range(T)])[:, 0], rtol=1e-10, atol=1e-10)
    resumed = InverseFilterStream(root, dim, scale, gain)
    resumed.restore(wide.state(), T - 1)
    last = z[-1:]
    wide.n_seen = T - 1
    np.testing.assert_array_equal(resumed.step(lambda n: last), wide.step(lambda n: last))


DOMAIN = {"dim": 4, "unit": 1.0, "n_units": 3, "whole": True, "signed": True, "one_hot": False, "clip": False}


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.float64, np.float32, np.float16])
def test_inputs_of_all_types_are_the_same_units(dtype: type):
    x = np.array([3, -3, 0, 1], dtype=dtype)
    units = StepDomain(**DOMAIN).step(x)
    assert units.tolist() == [[3, -3, 0, 1]]
    assert units.dtype == np.int64
    assert not np.shares_memory(units, x)
    with pytest.raises(ValueError, match="1 of 4 outside"):
        StepDomain(**DOMAIN).step(x + np.array([1, 0, 0, 0], dtype=dtype))
    assert StepDomain(**DOMAIN | {"clip": True}).step(np.array([9, -9, 0, 1], dtype=dtype)).tolist() == [[3, -3, 0, 1]]
    with pytest.raises(ValueError, match="2 of 4 outside"):
        StepDomain(**DOMAIN | {"signed": False}).step(np.array([3, -3, -1, 1], dtype=dtype))


def test_a_fine_unit_is_not_lost_on_floats_of_32_bits():
    fine = StepDomain(**DOMAIN | {"unit": 2.0**-30, "n_units": 3 << 30, "whole": False})
    x = np.array([1 / 3, 2.5, -3, 0.1], dtype=np.float32)
    assert fine.step(x)[0].tolist() == [round(float(value) * 2**30) for value in x]
