"""What DP promises against distribution inference: against exact mechanisms, tight cases, monotonicity, and the way back to epsilon."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attacks.distribution.leakage import n_leaked
from attacks.distribution.privacy_bound import distribution_advantage_bound, distribution_advantage_bound_gdp, eps_lower_from_advantage
from mechanisms import gaussian_delta
from mechanisms.guarantee import Neighboring, PrivacyGuarantee

REPLACE, ADD_REMOVE, ZERO_OUT = Neighboring.REPLACE, Neighboring.ADD_REMOVE, Neighboring.ZERO_OUT


def count_variation(noise, reach: float, n: int, p: float, q: float) -> float:
    """Total variation of a noisy count of n draws, from exact cell probabilities (from below, off by the cells where the sign changes)."""
    edges = np.linspace(-reach, n + reach, 6_001)
    k = np.arange(n + 1)
    law = noise.cdf(edges[:, None] - k)
    return float(np.abs(np.diff(law @ (stats.binom.pmf(k, n, p) - stats.binom.pmf(k, n, q)))).sum() / 2)


def laplace_count(epsilon: float, n: int, p: float, q: float) -> float:
    return count_variation(stats.laplace(scale=1 / epsilon), 40 / epsilon, n, p, q)


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0, 4.0])
@pytest.mark.parametrize(("n", "p", "q"), [(100, 0.5, 0.6), (20, 0.1, 0.5), (50, 0.3, 0.31)])
def test_bound_covers_the_laplace_count(epsilon: float, n: int, p: float, q: float):
    bound = distribution_advantage_bound(epsilon, 0, n, abs(p - q), neighboring=REPLACE)
    assert laplace_count(epsilon, n, p, q) <= bound <= n * abs(p - q) * math.tanh(epsilon / 2) + 1e-15
    assert distribution_advantage_bound(epsilon, 0, n, abs(p - q), neighboring=ADD_REMOVE) >= bound


def test_it_can_fail():
    """A bound for nine tenths of the gap is below the Laplace count."""
    assert laplace_count(0.01, 100, 0.5, 0.6) > distribution_advantage_bound(0.01, 0, 100, 0.09, neighboring=REPLACE)


@pytest.mark.parametrize(("epsilon", "exact", "bound"), [(0.01, 0.0478, 0.0499), (0.1, 0.333, 0.454)])
def test_known_values(epsilon: float, exact: float, bound: float):
    assert laplace_count(epsilon, 100, 0.5, 0.6) == pytest.approx(exact, abs=1e-3)
    assert distribution_advantage_bound(epsilon, 0, 100, 0.1, neighboring=REPLACE) == pytest.approx(bound, abs=1e-3)


def test_an_ordinary_epsilon_promises_nothing():
    accuracy = (1 + laplace_count(1.0, 1000, 0.5, 0.6)) / 2
    assert accuracy == pytest.approx(0.9992, abs=5e-5)
    assert n_leaked(accuracy, 0.5, 0.6) == pytest.approx(993, abs=1)
    assert distribution_advantage_bound(0.0036, 0, 1000, 0.3, neighboring=REPLACE) < 0.5
    assert distribution_advantage_bound(0.0037, 0, 1000, 0.3, neighboring=REPLACE) > 0.5


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("delta", [0.0, 1e-3, 0.2])
def test_tight_for_one_record(epsilon: float, delta: float):
    """Randomized response that reveals the record with probability delta meets the bound exactly."""
    exact = 0.4 * (delta + (1 - delta) * math.tanh(epsilon / 2))
    assert distribution_advantage_bound(epsilon, delta, 1, 0.4, neighboring=REPLACE) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("epsilon", [0.01, 0.2, 1.0])
@pytest.mark.parametrize("delta", [0.0, 1e-6, 1e-3])
def test_add_remove_is_the_converted_guarantee(epsilon: float, delta: float):
    converted = PrivacyGuarantee(epsilon, delta, ADD_REMOVE).to_replace()
    direct = distribution_advantage_bound(epsilon, delta, 50, 0.1, neighboring=ADD_REMOVE)
    assert direct == pytest.approx(
        distribution_advantage_bound(converted.epsilon, converted.delta, 50, 0.1, neighboring=REPLACE), rel=1e-12
    )
    assert direct == distribution_advantage_bound(epsilon, delta, 50, 0.1, neighboring=ZERO_OUT)


@pytest.mark.parametrize("mu", [0.02, 0.1, 0.5])
def test_gaussian_count(mu: float):
    """Noise 1 / mu on a count is mu-GDP; its (epsilon, delta) statements are looser still."""
    exact = count_variation(stats.norm(scale=1 / mu), 9 / mu, 60, 0.5, 0.6)
    gdp = distribution_advantage_bound_gdp(mu, 60, 0.1, neighboring=REPLACE)
    assert exact <= gdp
    for epsilon in (mu / 4, mu, 2 * mu):
        assert gdp <= distribution_advantage_bound(epsilon, gaussian_delta(mu, epsilon), 60, 0.1, neighboring=REPLACE) + 1e-12
    assert exact > distribution_advantage_bound_gdp(mu / 3, 60, 0.1, neighboring=REPLACE)  # it can fail
    assert distribution_advantage_bound_gdp(mu / 2, 60, 0.1, neighboring=ADD_REMOVE) == pytest.approx(gdp)


@given(st.floats(0, 5), st.floats(0, 0.5), st.integers(1, 2000), st.floats(0, 1))
def test_rises_in_every_argument(epsilon: float, delta: float, n: int, gap: float):
    here = distribution_advantage_bound(epsilon, delta, n, gap, neighboring=REPLACE)
    for more in (
        (epsilon + 0.1, delta, n, gap),
        (epsilon, delta + 0.01, n, gap),
        (epsilon, delta, n + 5, gap),
        (epsilon, delta, n, (1 + gap) / 2),
    ):
        assert distribution_advantage_bound(*more, neighboring=REPLACE) >= here - 1e-12
    assert 0 <= here <= 1
    assert distribution_advantage_bound(epsilon, delta, n, 0, neighboring=REPLACE) == 0


def test_limits():
    assert distribution_advantage_bound(math.inf, 0, 10, 0.1, neighboring=REPLACE) == pytest.approx(1 - 0.9**10)
    assert distribution_advantage_bound(0, 0, 10, 0.1, neighboring=REPLACE) == 0
    assert distribution_advantage_bound(0, 1e-3, 10, 0.1, neighboring=REPLACE) == pytest.approx(10 * 0.1 * 1e-3)
    assert distribution_advantage_bound(1e-300, 1e-3, 10, 0.1, neighboring=REPLACE) == pytest.approx(10 * 0.1 * 1e-3)
    assert distribution_advantage_bound(1, 0, 7, 1, neighboring=REPLACE) == pytest.approx(math.tanh(3.5))
    assert distribution_advantage_bound_gdp(math.inf, 10, 0.1, neighboring=REPLACE) == pytest.approx(1 - 0.9**10)


@pytest.mark.parametrize(("n", "gap"), [(10, 0.3), (1000, 0.001), (50_000, 0.4), (10**9, 0.5)])
def test_average_over_the_binomial(n: int, gap: float):
    k = np.arange(max(0, int(n * gap - 12 * math.sqrt(n))), min(n, int(n * gap + 12 * math.sqrt(n)) + 50) + 1)
    epsilon = 1 / (n * gap)
    expected = stats.binom.pmf(k, n, gap) @ np.tanh(k * epsilon / 2)
    assert distribution_advantage_bound(epsilon, 0, n, gap, neighboring=REPLACE) == pytest.approx(expected, rel=1e-8)


class TestBackToEpsilon:
    @pytest.mark.parametrize(
        ("advantage", "n", "gap", "expected"), [(0.9, 1000, 0.3, 0.009845), (0.99, 1000, 0.3, 0.017753), (0.9, 100, 0.1, 0.335272)]
    )
    def test_known_values(self, advantage: float, n: int, gap: float, expected: float):
        found = eps_lower_from_advantage(advantage, n, gap, neighboring=REPLACE)
        assert found == pytest.approx(expected, abs=1e-6)
        assert eps_lower_from_advantage(advantage, n, gap, neighboring=ADD_REMOVE) == pytest.approx(found / 2, rel=1e-12)

    @given(st.floats(0.01, 0.6), st.sampled_from([0.0, 1e-6, 1e-4]), st.sampled_from([REPLACE, ADD_REMOVE]))
    def test_is_the_root(self, advantage: float, delta: float, neighboring: Neighboring):
        epsilon = eps_lower_from_advantage(advantage, 100, 0.1, delta=delta, neighboring=neighboring)
        assert distribution_advantage_bound(epsilon, delta, 100, 0.1, neighboring=neighboring) == pytest.approx(advantage, rel=1e-9)

    def test_halving_would_claim_too_much_when_delta_is_positive(self):
        """Under add/remove a replacement costs (2 epsilon, (1 + e^epsilon) delta), so delta counts twice."""
        options = {"adv_lower": 0.9, "n_records": 1000, "rate_gap": 0.3, "delta": 1e-3}
        halved = eps_lower_from_advantage(**options, neighboring=REPLACE) / 2
        solved = eps_lower_from_advantage(**options, neighboring=ADD_REMOVE)
        assert solved < 0.5 * halved
        assert distribution_advantage_bound(halved, 1e-3, 1000, 0.3, neighboring=ADD_REMOVE) > 0.9  # no contradiction at the halved one

    def test_nothing_follows_from_nothing(self):
        assert eps_lower_from_advantage(0, 100, 0.1, neighboring=REPLACE) == 0
        assert eps_lower_from_advantage(-0.3, 100, 0.1, neighboring=REPLACE) == 0
        assert eps_lower_from_advantage(0.09, 100, 0.1, delta=0.01, neighboring=REPLACE) == 0  # delta alone allows it

    def test_more_than_the_data_allow_is_refused(self):
        with pytest.raises(ValueError, match="the worlds differ by more than rate_gap"):
            eps_lower_from_advantage(0.9, 10, 0.1, neighboring=REPLACE)
        with pytest.raises(ValueError, match="adv_lower must be at most"):
            eps_lower_from_advantage(0.1, 10, 0, neighboring=REPLACE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0, 10, 0.1), "epsilon must be in"),
        ((1, 1e5, 10, 0.1), "delta must be in"),
        ((1, 0, 0, 0.1), "n_records must be a whole number >= 1"),
        ((1, 0, 10**13, 0.1), "n_records must be at most"),
        ((1, 0, 10, 1.1), "rate_gap must be in"),
    ],
)
def test_bad_values(arguments: tuple[float, float, int, float], message: str):
    with pytest.raises(ValueError, match=message):
        distribution_advantage_bound(*arguments, neighboring=REPLACE)


def test_neighboring_is_an_enum():
    with pytest.raises(TypeError, match="neighboring must be a Neighboring"):
        distribution_advantage_bound(1, 0, 10, 0.1, neighboring="replace")
    with pytest.raises(ValueError, match="mu must be in"):
        distribution_advantage_bound_gdp(-1, 10, 0.1, neighboring=REPLACE)
