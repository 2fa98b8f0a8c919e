"""Exact parts: fixed-point exponentials, coins, uniform whole numbers, and inversion at the edge of a threshold."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from mechanisms.noise.bernoulli import bernoulli_exp, bernoulli_exp_many
from mechanisms.noise.bits import Words, uniform_below, uniform_indices
from mechanisms.noise.fixed_point import BITS, exp_minus, falling_weights
from mechanisms.noise.inversion import inversion_table
from mechanisms.noise.source import SeededNoise
from tests.mechanisms.noise.laws import FALSE_ALARM


def scripted(values: Iterable[int]) -> Words:
    """A source that tells what it is given, and fails if asked for more."""
    stream = iter(values)
    return lambda n: np.array([next(stream) for _ in range(n)], dtype=np.uint64)


@given(st.fractions(0, 300), st.integers(1, 400))
def test_fixed_point_exponential(r: Fraction, bits: int):
    with mpmath.workprec(900):
        exact = mpmath.exp(-mpmath.mpf(r.numerator) / r.denominator) * mpmath.mpf(2) ** bits
        assert abs(exp_minus(r, bits) - exact) < 1


@pytest.mark.parametrize(
    ("linear", "quadratic"), [(Fraction(0), Fraction(1, 5000)), (Fraction(1, 90), Fraction(0)), (Fraction(9), Fraction(1, 3))]
)
def test_falling_weights_within_their_bounds(linear: Fraction, quadratic: Fraction):
    falling = falling_weights(linear, quadratic)
    with mpmath.workprec(400):

        def weight(x: int) -> mpmath.mpf:
            r = linear * x + quadratic * x * x
            return mpmath.exp(-mpmath.mpf(r.numerator) / r.denominator) * mpmath.mpf(2) ** BITS

        assert max(abs(w - weight(x)) for x, w in enumerate(falling.weights)) <= falling.error
        n = len(falling.weights)
        assert sum(weight(x) for x in range(n, 2 * n + 50)) <= falling.tail
    assert falling.error < 2.0 ** (BITS - 200)
    assert falling.tail < 2.0 ** (BITS - 130)


@pytest.mark.parametrize("r", [Fraction(0), Fraction(1, 3), Fraction(1), Fraction(7, 3), Fraction(0.1)])
def test_coins_fall_as_they_should(r: Fraction, rng: np.random.Generator):
    words, n = SeededNoise(int(rng.integers(2**32))).words, 4000
    probability = float(np.exp(-float(r)))
    one_by_one = sum(bernoulli_exp(r, words) for _ in range(n))
    at_once = int(bernoulli_exp_many(np.full(100 * n, float(r)), lambda _: r, words).sum())
    assert binomtest(one_by_one, n, probability).pvalue > FALSE_ALARM
    assert binomtest(at_once, 100 * n, probability).pvalue > FALSE_ALARM
    if r:
        assert binomtest(at_once, 100 * n, float(np.exp(-0.9 * float(r)))).pvalue < FALSE_ALARM  # it can fail


@given(st.fractions(Fraction(1, 1000), 40), st.integers(-3, 3), st.integers(0, 2**64 - 1))
def test_close_tosses_are_decided_exactly(r: Fraction, shift: int, second: int):
    with mpmath.workprec(300):
        level = int(mpmath.floor(mpmath.exp(-mpmath.mpf(r.numerator) / r.denominator) * mpmath.mpf(2) ** 128))
    first = min(max((level >> 64) + shift, 0), 2**64 - 1)
    heads = bernoulli_exp_many(np.array([float(r)]), lambda _: r, scripted([first, second, 2**63]))
    assert bool(heads[0]) == ((first << 64) + second < level)


def test_uniform_numbers(rng: np.random.Generator):
    words = SeededNoise(int(rng.integers(2**32))).words
    assert chisquare(np.bincount([uniform_below(words, 5) for _ in range(5000)], minlength=5)).pvalue > FALSE_ALARM
    assert chisquare(np.bincount(uniform_indices(words, 7, 70_000), minlength=7)).pvalue > FALSE_ALARM
    assert uniform_below(words, 1) == 0


def test_uniform_indices_reject_the_incomplete_round():
    last = 2**64 - 1  # 2^64 = 1 mod 3, mod 5: the last word would make 0 too likely
    assert uniform_indices(scripted([last, 4]), 3, 1).tolist() == [1]
    assert uniform_indices(scripted([last]), 4, 1).tolist() == [3]


def inverted(thresholds: list[int], u: int) -> int:
    """The oracle: count the thresholds up to u, one by one."""
    return sum(threshold <= u for threshold in thresholds)


def test_inversion_at_the_edges(rng: np.random.Generator):
    weights = [int(w) for w in rng.integers(1, 2**60, 40)] + [1, 2, 1, 3, 2**61]  # thresholds with a common high word among them
    weights[5] = 2**130
    table = inversion_table(weights, first=-3, error=0, tail=0)
    cumulative = np.cumsum(np.array(weights, dtype=object))
    thresholds = [(int(c) << 128) // int(cumulative[-1]) for c in cumulative[:-1]]
    for threshold in thresholds:
        for u in {min(max(threshold + step, 0), 2**128 - 1) for step in (-(2**64), -1, 0, 1, 2**64)}:
            drawn = int(table.sample(scripted([u >> 64, u & (2**64 - 1)]), 1)[0])
            assert drawn == inverted(thresholds, u) - 3


def test_inversion_of_many_words_is_the_oracle(rng: np.random.Generator):
    weights = [int(w) for w in rng.integers(0, 2**60, 300)]
    table = inversion_table(weights, first=0, error=0, tail=0)
    thresholds = [(int(h) << 64) | int(low) for h, low in zip(table.high, table.low, strict=True)]
    word = SeededNoise(int(rng.integers(2**32))).words(2000)
    assert table.sample(lambda n: word[:n], 2000).tolist() == [inverted(thresholds, int(w) << 64) for w in word]


def test_one_cell():
    assert inversion_table([5], first=9, error=0, tail=0).sample(scripted([0, 2**64 - 1]), 2).tolist() == [9, 9]
