"""Degree laws: the published figures, and that the published bound is one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from attacks.distribution.discrete_leakage import LeakedRange
from attacks.distribution.graph_degree import (
    PUBLISHED_DEGREE_LAWS,
    DegreeLaw,
    degree_accuracy_bound,
    degree_law,
    degree_rho,
    n_leaked_degree,
    n_leaked_degree_bound,
    tv_degree,
)


def test_ideal_accuracy_of_13_against_9():
    laws = degree_law(13), degree_law(9)
    for n, expected, digits in ((1, 0.5149, 5e-5), (10, 0.559, 1e-3), (100, 0.762, 1e-3), (1000, 0.9993, 1e-4)):
        found = tv_degree(n, *laws)
        assert (1 + found.lower) / 2 == pytest.approx(expected, abs=digits)
        assert (1 + found.upper) / 2 == pytest.approx(expected, abs=digits)
    assert degree_accuracy_bound([1, 10, 100, 1000], *laws) == pytest.approx([0.752, 0.987, 1, 1], abs=1e-3)


def test_law_is_zipf():
    law = degree_law(9)
    k = np.arange(1, 87)
    assert law.pmf() == pytest.approx(k**-1.843366 / (k**-1.843366).sum())
    assert law.pmf(100)[86:].tolist() == [0] * 14
    assert law.normalizer == pytest.approx((k**-1.843366).sum())


def test_mean_degree_grows():
    """The fits are of mean degrees: the laws' means follow them in order, from 9 to 17, without the two that cross."""
    means = {name: law.pmf() @ np.arange(1, law.largest + 1) for name, law in PUBLISHED_DEGREE_LAWS.items()}
    assert means[9] < means[10] < means[11] < means[13] < means[14] < means[15] < means[16] < means[17]


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(PUBLISHED_DEGREE_LAWS, 2))[::4])
def test_published_bound_holds(first: int, second: int):
    laws = degree_law(first), degree_law(second)
    assert 0 < degree_rho(*laws) < 1
    assert degree_rho(*laws) == degree_rho(*laws[::-1])
    for n in (1, 5, 60):
        assert degree_accuracy_bound(n, *laws) >= (1 + tv_degree(n, *laws).lower) / 2
    assert n_leaked_degree_bound(0.6, *laws) <= n_leaked_degree(0.6, *laws).upper


def test_same_cut_off_takes_the_better_direction():
    """16 and 17 have the same largest degree, so both likelihood ratios are bounded: rho is the larger of their minima."""
    first, second = degree_law(16), degree_law(17)
    ratio = first.pmf() / second.pmf()
    assert degree_rho(first, second) == pytest.approx(max(ratio.min(), (1 / ratio).min()))


def test_number_of_degrees():
    laws = degree_law(13), degree_law(9)
    assert n_leaked_degree(0.75, *laws) == LeakedRange(93, 93)
    assert n_leaked_degree_bound([0.3, 0.75], *laws) == pytest.approx([0, 0.97718], abs=1e-5)


def test_bad_input():
    with pytest.raises(ValueError, match="mean_degree must be a whole number from 9 to 17, got 8"):
        degree_law(8)
    with pytest.raises(ValueError, match="the two degree laws are equal"):
        n_leaked_degree_bound(0.6, degree_law(9), degree_law(9))
    with pytest.raises(ValueError, match="exponent must be positive"):
        DegreeLaw(10, 0)
    with pytest.raises(ValueError, match="largest must be a whole number"):
        DegreeLaw(0, 1.5)
    with pytest.raises(ValueError, match="n must hold numbers of draws"):
        degree_accuracy_bound(-1, degree_law(9), degree_law(10))
