"""Trees: closed forms of their variances, the smooth code, balanced digits and the published figures of pure privacy."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms.continual.honaker import Honaker, node_variances
from mechanisms.continual.k_ary import KAry, absolute_digit_sums, best_base, levels_for
from mechanisms.continual.smooth import Smooth, next_code, nth_code
from mechanisms.continual.tree import Tree


@given(st.integers(1, 5000))
def test_tree_variance_counts_bits(T: int):
    assert Tree(T).squared_row_norms().tolist() == [t.bit_count() for t in range(1, T + 1)]
    assert Tree(T).l1_sensitivity == math.floor(math.log2(T)) + 1


def test_tree_counts_the_root_level_only_when_it_is_released():
    assert [Tree(T).l1_sensitivity for T in (1, 7, 8, 1023, 1024)] == [1, 3, 4, 10, 11]


def test_honaker_variances():
    v = node_variances(12)
    assert v[0] == 1
    np.testing.assert_allclose(v, [1 / (2 - 2.0**-i) for i in range(12)], rtol=1e-15)
    np.testing.assert_allclose(1 / v[1:], 1 + 1 / (2 * v[:-1]), rtol=1e-15)


@given(st.integers(1, 3000))
def test_honaker_is_never_worse_than_the_tree(T: int):
    assert (Honaker(T).squared_row_norms() <= Tree(T).squared_row_norms() + 1e-12).all()


@given(st.integers(1, 400))
def test_smooth_has_one_variance_and_every_item_under_as_many_nodes(T: int):
    made = Smooth(T)
    half = made.n_ones
    assert math.comb(2 * half, half) - 1 >= T
    assert half == 1 or math.comb(2 * half - 2, half - 1) - 1 < T
    assert set(made.squared_row_norms()) == {half}
    columns = made.right_matrix().sum(axis=0)
    assert columns.max() <= half


@pytest.mark.parametrize(("T", "half"), [(19, 3), (69, 4), (251, 5)])
def test_smooth_at_full_lengths(T: int, half: int):
    assert Smooth(T).n_ones == half
    assert Smooth(T + 1).n_ones == half + 1
    assert Smooth(T).right_matrix().sum(axis=0).max() == half


@pytest.mark.parametrize("half", [1, 2, 3, 5])
def test_codes_are_all_the_balanced_ones_in_order(half: int):
    codes = [code for code in range(1 << 2 * half) if code.bit_count() == half]
    assert [next_code(code) for code in codes[:-1]] == codes[1:]
    assert [nth_code(place + 1, half) for place in range(len(codes))] == codes


@given(st.integers(1, 2000), st.sampled_from([3, 5, 7, 13, 21]))
def test_balanced_digits_against_a_plain_loop(T: int, base: int):
    m, h = (base - 1) // 2, levels_for(T, base)
    assert (base**h - 1) // 2 >= T
    assert h == 1 or (base ** (h - 1) - 1) // 2 < T

    def digits(t: int) -> list[int]:
        found = []
        for _ in range(h):
            found.append((t + m) % base - m)
            t = (t - found[-1]) // base
        assert t == 0
        return found

    assert sum(d * base**i for i, d in enumerate(digits(T))) == T
    assert absolute_digit_sums(T, base, h).tolist() == [sum(map(abs, digits(t))) for t in range(1, T + 1)]


@pytest.mark.parametrize(("base", "h"), [(3, 3), (5, 3), (7, 2)])
def test_k_ary_uses_every_level_fully(base: int, h: int):
    made = KAry((base**h - 1) // 2, base)
    assert made.n_levels == h
    assert set(made.right_matrix().sum(axis=0)) <= set(range(h + 1))


@pytest.mark.parametrize(("T", "base", "h", "mean"), [(2**10, 13, 3, 170.51), (2**14, 33, 3, 431.74), (2**16, 21, 4, 614.62)])
def test_k_ary_mean_under_laplace_noise(T: int, base: int, h: int, mean: float):
    """MeanSE at epsilon 1 is 2 h^2 mean sum |digits|."""
    made = KAry(T)
    assert (made.base, made.n_levels) == (base, h)
    assert 2 * made.l1_sensitivity**2 * made.squared_row_norms().mean() == pytest.approx(mean, abs=0.005)


@pytest.mark.parametrize("k", [10, 14, 16])
def test_tree_mean_under_laplace_noise(k: int):
    """Bits of 1 to 2^k are k 2^(k-1) + 1; at epsilon 1 the mean is 1210.2, 3150.0, 4624.0."""
    made = Tree(2**k)
    mean = 2 * made.l1_sensitivity**2 * made.squared_row_norms().mean()
    assert mean == pytest.approx(2 * (k + 1) ** 2 * (k / 2 + 2.0**-k), rel=1e-12)


@pytest.mark.slow
def test_pure_privacy_at_a_million_steps():
    made, tree = KAry(2**20), Tree(2**20)
    assert (made.base, made.n_levels) == (19, 5)
    assert 2 * made.l1_sensitivity**2 * made.squared_row_norms().mean() == pytest.approx(1147.43, abs=0.005)
    assert 2 * tree.l1_sensitivity**2 * tree.squared_row_norms().mean() == pytest.approx(8820.0, abs=0.05)


def test_the_best_base_is_the_best_of_all_that_are_tried():
    error = {base: KAry(300, base).mean_error() * KAry(300, base).n_levels for base in range(3, 62, 2)}
    assert error[best_base(300)] == min(error.values())


def test_an_even_base_is_refused():
    with pytest.raises(ValueError, match="base must be odd"):
        KAry(10, 4)


def test_the_first_whole_draw_counts():
    """The arrays change type at the first whole draw; once, that draw was lost and step 1 was released bare."""
    stream = KAry(30, 3).stream(1)
    noise = [int(stream.step(lambda n: np.full((n, 1), 100, dtype=np.int64))[0]) for _ in range(30)]
    assert noise[0] == 100
    assert all(isinstance(a, int) and a != b for a, b in pairwise(noise))
