"""Designs: fair, independent coins where they must be independent, complements where they must be complements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, chi2

from attacks import half_split_design, poisson_design


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**32))
def test_half_split_pairs_are_complements(n_pairs: int, n_records: int, seed: int):
    member = half_split_design(2 * n_pairs, n_records, rng=seed)
    assert member.shape == (2 * n_pairs, n_records)
    assert member.dtype == np.bool_
    assert (member[::2] == ~member[1::2]).all()
    assert (member.sum(axis=0) == n_pairs).all()


def coin_p_value(coins: NDArray[np.bool_], probability: float) -> float:
    """Two-sided exact p-value that independent coins show this many heads."""
    heads, n = int(coins.sum()), coins.size
    return min(1.0, 2 * min(binom.cdf(heads, n, probability), binom.sf(heads - 1, n, probability)))


def spread_p_value(sizes: NDArray[np.int64], n: int, probability: float) -> float:
    """Two-sided p-value that training-set sizes vary as sums of n independent coins do."""
    variance = n * probability * (1 - probability)
    statistic = ((sizes - n * probability) ** 2).sum() / variance
    return 2 * min(chi2.cdf(statistic, len(sizes)), chi2.sf(statistic, len(sizes)))


def test_half_split_coins_are_fair_and_independent_across_records(rng: np.random.Generator):  # false alarm 2e-6 per seed
    first = half_split_design(800, 300, rng=rng)[::2]
    assert coin_p_value(first, 0.5) > 1e-6
    assert spread_p_value(first.sum(axis=1), 300, 0.5) > 1e-6


def test_halves_of_fixed_size_would_be_caught(rng: np.random.Generator):
    order = rng.random((400, 300)).argsort(axis=1)
    fixed = order < 150
    assert spread_p_value(fixed.sum(axis=1), 300, 0.5) < 1e-6


def test_half_split_pairs_are_independent_of_each_other(rng: np.random.Generator):  # false alarm 1e-6 per seed
    first = half_split_design(40, 20_000, rng=rng)[::2]
    agree = np.array([(first[i] == first[i + 1]) for i in range(len(first) - 1)])
    assert coin_p_value(agree, 0.5) > 1e-6


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_poisson_coins(probability: float, rng: np.random.Generator):  # false alarm 3e-6 per seed
    member = poisson_design(400, 300, probability=probability, rng=rng)
    assert (member.shape, member.dtype) == ((400, 300), np.bool_)
    assert coin_p_value(member, probability) > 1e-6
    assert spread_p_value(member.sum(axis=1), 300, probability) > 1e-6
    assert spread_p_value(member.sum(axis=0), 400, probability) > 1e-6


def test_poisson_models_are_no_complements(rng: np.random.Generator):
    member = poisson_design(2, 2000, rng=rng)
    assert 0 < (member[0] != member[1]).sum() < 2000
    assert coin_p_value(poisson_design(400, 300, probability=0.48, rng=rng), 0.5) < 1e-6  # the test can fail


@pytest.mark.parametrize("design", [half_split_design, poisson_design])
def test_same_seed_same_design(design):
    assert (design(4, 50, rng=3) == design(4, 50, rng=3)).all()
    assert (design(4, 50, rng=3) != design(4, 50, rng=4)).any()


def test_bad_designs_are_named():
    with pytest.raises(ValueError, match="n_models must be even, got 3: .*poisson_design"):
        half_split_design(3, 10)
    for design in (half_split_design, poisson_design):
        with pytest.raises(ValueError, match="n_models must be a whole number"):
            design(0, 10)
        with pytest.raises(ValueError, match="n_records must be a whole number"):
            design(4, 0)
    for probability in (0, 1, -0.1, np.nan):
        with pytest.raises(ValueError, match="probability"):
            poisson_design(4, 10, probability=probability)
