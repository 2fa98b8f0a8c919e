"""Composed privacy losses: the bracket holds what is known exactly, is narrow, and n_leaked of any laws follows from it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from attacks.distribution import fold_variation
from attacks.distribution.discrete_leakage import LeakedRange, n_leaked_normal, n_leaked_pmf
from attacks.distribution.fold_variation import tv_pmf
from attacks.distribution.ideal_observer import tv_bernoulli
from attacks.distribution.leakage import n_leaked
from mechanisms.errors import WeakEvidenceWarning

PAIRS = [(0.5, 0.2), (0.5, 0.45), (0.01, 0.02), (0.0, 0.1), (0.3, 1.0), (0.3, 0.7)]


def two(rate: float) -> list[float]:
    return [rate, 1 - rate]


def every_outcome(n: int, P: np.ndarray, Q: np.ndarray) -> float:
    """Brute force over all k^n sequences."""
    products = [(math.prod(P[list(s)]), math.prod(Q[list(s)])) for s in itertools.product(range(len(P)), repeat=n)]
    return sum(abs(a - b) for a, b in products) / 2


@pytest.mark.parametrize(("p", "q"), PAIRS)
@pytest.mark.parametrize("n", [0, 1, 2, 11, 200, 10**4, 10**6])
def test_bracket_holds_the_exact_value(p: float, q: float, n: int):
    for first, second in ((p, q), (q, p)):
        found = tv_pmf(n, two(first), two(second))
        assert found.lower - 1e-15 <= tv_bernoulli(n, p, q) <= found.upper + 1e-15
        assert found.upper - found.lower < 1e-3


@pytest.mark.parametrize("gap", [1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("n", [2, 1000, 10**8])
def test_laws_that_are_close(gap: float, n: int):
    """Their overlap is 1 as computed; the bracket must not close above zero only."""
    found = tv_pmf(n, two(0.5), two(0.5 + gap))
    assert found.lower <= tv_bernoulli(n, 0.5, 0.5 + gap) * (1 + 1e-3) + 1e-15
    assert tv_bernoulli(n, 0.5, 0.5 + gap) <= found.upper * (1 + 1e-3) + 1e-12


def test_laws_that_hardly_overlap():
    found = tv_pmf(3, [1 - 1e-200, 1e-200], [0, 1])
    assert found.upper == 1
    assert found.lower == pytest.approx(1, abs=1e-12)


def test_published_check():
    found = tv_pmf(11, [0.5, 0.5], [0.2, 0.8], grid=1e-5)
    assert found.grid == 1e-5
    assert found.upper - found.lower < 1e-5
    assert found.lower <= 0.72557955 <= found.upper + 1e-9


@given(st.integers(2, 4), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=3))
@settings(max_examples=40)
def test_three_outcomes_against_brute_force(n: int, weights: list[tuple[int, int]]):
    """Zeros in both laws included."""
    P, Q = np.array(weights, dtype=float).T
    assume(P.sum() > 0)
    assume(Q.sum() > 0)
    P, Q = P / P.sum(), Q / Q.sum()
    found = tv_pmf(n, P, Q)
    assert found.lower - 1e-14 <= every_outcome(n, P, Q) <= found.upper + 1e-14
    assert found.upper - found.lower < 1e-3


def test_a_grid_without_the_widening_is_caught(monkeypatch: pytest.MonkeyPatch):
    """Losses that stay at the lower grid point are no proof from above."""

    def rounded_down(losses, width):
        index = np.floor(losses.loss / width).astype(np.int64)
        return index, losses.mass, 0.0

    monkeypatch.setattr(fold_variation, "_split", rounded_down)
    found = tv_pmf(11, two(0.5), two(0.2), grid=0.01)
    assert found.upper < tv_bernoulli(11, 0.5, 0.2)


def test_a_coarse_grid_gives_a_wide_bracket_that_holds():
    found = tv_pmf(11, two(0.5), two(0.2), grid=0.05)
    assert found.lower <= 0.72557955 <= found.upper
    assert found.upper - found.lower > 1e-3


def test_laws_without_common_outcome_and_equal_laws():
    assert tv_pmf(3, [0.5, 0.5, 0, 0], [0, 0, 0.1, 0.9]).lower == 1
    assert tv_pmf(1000, [0.3, 0.7], [0.3, 0.7]).upper == 0
    partly = tv_pmf(5, [0.5, 0.5, 0], [0.5, 0, 0.5])  # equal where both are possible
    assert (partly.lower, partly.upper) == pytest.approx((1 - 0.5**5, 1 - 0.5**5), abs=1e-9)
    assert partly.to_dict() == {"schema_version": 1, "n": 5, "lower": partly.lower, "upper": partly.upper, "grid": partly.grid}


@pytest.mark.parametrize(
    ("P", "Q", "error", "message"),
    [
        ([0.5, 0.4], [0.5, 0.5], ValueError, "P must sum to 1, got a sum that is off by -0.1"),
        ([0.5, 0.5], [1.5, -0.5], ValueError, "Q must hold probabilities in .* got 2 of 2"),
        ([0.5, 0.5], [math.nan, 1], ValueError, "Q must hold"),
        ([0.5, 0.5], [0.5, 0.25, 0.25], ValueError, "lengths must agree"),
        ([[0.5, 0.5]], [0.5, 0.5], ValueError, "P must have one axis"),
        (["a", "b"], [0.5, 0.5], TypeError, "P must hold probabilities"),
    ],
)
def test_bad_laws(P: list[float], Q: list[float], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        tv_pmf(2, P, Q)


def test_grid_too_fine_or_bad():
    with pytest.raises(ValueError, match="needs more than 4194304 points"):
        tv_pmf(1000, two(0.5), two(0.2), grid=1e-9)
    with pytest.raises(ValueError, match="grid must be positive"):
        tv_pmf(10, two(0.5), two(0.2), grid=0)


class TestNLeaked:
    @pytest.mark.parametrize(("p", "q"), [*PAIRS, (0.5, 0.4)])
    @pytest.mark.parametrize("accuracy", [0.55, 0.6, 0.75])
    def test_bernoulli(self, p: float, q: float, accuracy: float):
        exact = n_leaked(accuracy, p, q)
        found = n_leaked_pmf(accuracy, two(p), two(q))
        assert found.lower <= exact <= found.upper
        if exact < 100:
            assert found.exact

    def test_a_given_grid_gives_a_range(self):
        found = n_leaked_pmf(0.9, two(0.5), two(0.45), grid=0.01)
        assert found.lower < 655 < found.upper
        assert not found.exact

    def test_normal_shift_by_bins(self):
        """Fine bins of two normal laws need as many draws as the closed form says; coarse bins need more."""
        edges = np.linspace(-8, 8.5, 400)
        P, Q = (np.diff(stats.norm.cdf(np.concatenate([[-np.inf], edges, [np.inf]]), shift)) for shift in (0, 0.5))
        found = n_leaked_pmf(0.9, P, Q)
        assert found.exact
        assert found.lower == math.ceil(n_leaked_normal(0.9, 0.5)) == 27
        assert n_leaked_pmf(0.9, two(stats.norm.cdf(0.25)), two(stats.norm.cdf(-0.25))).lower > 27

    def test_normal_shift(self):
        assert n_leaked_normal([0.3, 0.5, 0.9, 1], 0.5).tolist() == pytest.approx([0, 0, (2 * 1.2815515655446004 / 0.5) ** 2, math.inf])
        assert n_leaked_normal(0.9, [-1, 1]) == pytest.approx([6.5695] * 2, abs=1e-4)
        for shift in (0, math.nan, math.inf):
            with pytest.raises(ValueError, match="shift must hold finite numbers other than 0"):
                n_leaked_normal(0.9, shift)

    def test_edges(self):
        half, other = two(0.5), two(0.2)
        assert n_leaked_pmf(0.5, half, other) == n_leaked_pmf(0.1, half, other) == LeakedRange(0, 0)
        assert n_leaked_pmf(1, half, other) == LeakedRange(math.inf, math.inf)
        assert n_leaked_pmf(1, [1, 0], [0, 1]) == LeakedRange(1, 1)
        assert n_leaked_pmf(1, half, other).to_dict() == {"schema_version": 1, "lower": "inf", "upper": "inf"}
        with pytest.warns(WeakEvidenceWarning, match="two laws are equal"):
            assert n_leaked_pmf(0.6, half, half).lower == math.inf
        with pytest.raises(ValueError, match="accuracy must be in"):
            n_leaked_pmf(1.2, half, other)
