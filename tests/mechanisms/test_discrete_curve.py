"""The curve of whole-number noise: against the exact curve of small products, the kernel behind the proof, and the spec's figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechanisms.accounting.discrete_curve import discrete_gaussian_delta, discrete_gaussian_epsilon, discrete_gaussian_rho, rounding_ratio
from mechanisms.accounting.gaussian import gaussian_delta, gaussian_epsilon, gaussian_mu
from mechanisms.accounting.zcdp import zcdp_delta, zcdp_epsilon, zcdp_rho


def exact_delta(sigmas: list[float], epsilon: float) -> float:
    """Exact delta of cells that each move by 1: all losses (1 - 2 x) / (2 sigma^2), outcome by outcome, less a mass below 1e-15."""
    loss, mass = np.zeros(1), np.ones(1)
    for sigma in sigmas:
        x = np.arange(-int(13 * sigma) - 3, int(13 * sigma) + 4)
        p = np.exp(-(x**2) / (2 * sigma**2))
        loss = np.add.outer(loss, (1 - 2 * x) / (2 * sigma**2)).ravel()
        mass = np.multiply.outer(mass, p / p.sum()).ravel()
        loss, mass = loss[mass > 1e-20], mass[mass > 1e-20]
    return float((mass * np.maximum(-np.expm1(epsilon - loss), 0.0)).sum())


@settings(max_examples=50)
@given(st.lists(st.floats(0.4, 12.0), min_size=1, max_size=2), st.floats(0.02, 5.0))
def test_never_below_the_exact_curve(sigmas: list[float], epsilon: float):
    bound = discrete_gaussian_delta([1.0] * len(sigmas), sigmas, epsilon)
    assert bound >= exact_delta(sigmas, epsilon) * (1 - 1e-9) - 1e-15
    assert bound <= zcdp_delta(sum(1 / (2 * sigma**2) for sigma in sigmas), epsilon)


def test_the_gaussian_curve_itself_would_be_wrong():
    """Why mu-GDP is not charged for discrete noise: the exact curve is up to 20 % above, and the bound is above both."""
    for sigma, epsilon in ((1.0, 1.0), (1.0, 3.0), (2.0, 2.0), (10.0, 0.5)):
        exact = exact_delta([sigma], epsilon)
        assert exact > 1.01 * gaussian_delta(1 / sigma, epsilon)
        assert discrete_gaussian_delta([1.0], [sigma], epsilon) >= exact


@pytest.mark.parametrize(("width", "sigma"), [(0.4, 1.0), (0.5, 0.8), (0.5, 3.0), (0.7, 2.0)])
@pytest.mark.parametrize("center", [0, 1, -4])
def test_randomly_rounded_gaussian(width: float, sigma: float, center: int):
    """The kernel of the proof, by quadrature: within the stated factor of the discrete Gaussian, and the factor is of the right size."""
    y = center + np.linspace(-12, 12, 40_001) * sigma
    density = np.exp(-((y - center) ** 2) / (2 * (sigma**2 - width**2)))
    density /= density.sum()
    x = center + np.arange(-int(5 * sigma), int(5 * sigma) + 1)
    near = np.exp(-((x[:, np.newaxis] - y) ** 2) / (2 * width**2))
    every = np.arange(int(y[0]) - 12, int(y[-1]) + 13)
    total = sum(np.exp(-((z - y) ** 2) / (2 * width**2)) for z in every)
    rounded = (near / total * density).sum(axis=1)
    law = np.exp(-((every - center) ** 2) / (2 * sigma**2))
    ideal = np.exp(-((x - center) ** 2) / (2 * sigma**2)) / law.sum()
    apart = float(np.abs(np.log(rounded / ideal)).max())
    assert apart <= rounding_ratio(width) + 1e-12


def test_rounding_ratio_is_of_the_right_size():
    """S(y) / (r sqrt(2 pi)) ranges over 1 -+ eta: kappa is the log of the ratio of its ends."""
    for width in (0.4, 0.6, 0.8):
        y, z = np.linspace(0, 1, 1001)[:, np.newaxis], np.arange(-30, 31)
        total = np.exp(-((z - y) ** 2) / (2 * width**2)).sum(axis=1)
        apart = math.log(total.max() / total.min())
        assert rounding_ratio(width) * (1 - 1e-3) < apart <= rounding_ratio(width) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("epsilon", "delta", "rho"), [(1.0, 1e-9, 0.01655742), (1.0, 1e-6, 0.02801448), (1.0, 1e-5, 0.03592570), (0.1, 1e-9, 0.0001887)]
)
def test_many_releases_reach_the_gaussian_rho(epsilon: float, delta: float, rho: float):
    exact = gaussian_mu(epsilon, delta) ** 2 / 2
    found = discrete_gaussian_rho(epsilon, delta, sensitivities=np.ones(5000), shares=np.full(5000, 1 / 5000))
    if epsilon == 1.0:
        assert round(exact, 8) == rho
    assert (1 - 1e-4) * exact < found < exact


@pytest.mark.parametrize(("epsilon", "delta", "m", "lost"), [(1.0, 4.2e-10, 78, 5e-4), (10.0, 4.2e-10, 78, 0.0105), (1.0, 1e-6, 1, 0.015)])
def test_noise_that_is_lost(epsilon: float, delta: float, m: int, lost: float):
    """More noise than a continuous Gaussian would need: at most this, and less than zCDP needs."""
    found = discrete_gaussian_rho(epsilon, delta, sensitivities=np.ones(m), shares=np.full(m, 1 / m))
    ideal = gaussian_mu(epsilon, delta) ** 2 / 2
    assert math.sqrt(ideal / found) - 1 <= lost < math.sqrt(ideal / zcdp_rho(epsilon, delta)) - 1


@settings(max_examples=25)
@given(
    st.floats(0.05, 8.0), st.floats(-10, -2), st.lists(st.floats(0.1, 1.0), min_size=1, max_size=3), st.sampled_from([1.0, math.sqrt(2)])
)
def test_rho_and_delta_agree(epsilon: float, log_delta: float, weights: list[float], sensitivity: float):
    delta, shares = 10.0**log_delta, np.array(weights) / sum(weights)
    rho = discrete_gaussian_rho(epsilon, delta, sensitivities=np.full(len(shares), sensitivity), shares=shares)
    sigmas = sensitivity / np.sqrt(2 * rho * shares)
    assert discrete_gaussian_delta(np.full(len(shares), sensitivity), sigmas, epsilon) <= delta * (1 + 1e-9)
    assert discrete_gaussian_delta(np.full(len(shares), sensitivity), sigmas / 1.001, epsilon) > delta
    assert zcdp_rho(epsilon, delta) * (1 - 1e-9) <= rho < gaussian_mu(epsilon, delta) ** 2 / 2


def test_calibrated_noise_is_private_by_the_exact_curve():
    """A replaced record moves two cells of one marginal: the exact delta of what was calibrated, and of a twin with 3 % less noise."""
    for epsilon, delta in ((0.3, 1e-3), (1.0, 1e-4), (1.0, 1e-6), (3.0, 1e-5)):
        rho = discrete_gaussian_rho(epsilon, delta, sensitivities=[math.sqrt(2)], shares=[1.0])
        sigma = 1 / math.sqrt(rho)
        assert exact_delta([sigma, sigma], epsilon) <= delta
        assert exact_delta([0.94 * sigma] * 2, epsilon) > delta


def test_bad_values():
    with pytest.raises(ValueError, match="sum to 1"):
        discrete_gaussian_rho(1.0, 1e-6, sensitivities=[1.0], shares=[0.5])
    with pytest.raises(ValueError, match="lengths must agree"):
        discrete_gaussian_rho(1.0, 1e-6, sensitivities=[1.0, 1.0], shares=[1.0])
    with pytest.raises(ValueError, match="must be positive"):
        discrete_gaussian_delta([1.0, 0.0], [1.0, 1.0], 1.0)
    with pytest.raises(ValueError, match="nan"):
        discrete_gaussian_delta([1.0, math.nan], [1.0, 1.0], 1.0)
    with pytest.raises(ValueError, match="must not be empty"):
        discrete_gaussian_delta([], [], 1.0)
    with pytest.raises(ValueError, match="delta must be in"):
        discrete_gaussian_rho(1.0, 0.0, sensitivities=[1.0], shares=[1.0])


@given(st.floats(0.5, 50), st.floats(1e-10, 0.1))
def test_epsilon_is_the_least_whose_delta_is_small_enough(sigma: float, delta: float):
    epsilon = discrete_gaussian_epsilon([1.0, 2.0], [sigma, sigma], delta)
    assert discrete_gaussian_delta([1.0, 2.0], [sigma, sigma], epsilon) <= delta * (1 + 1e-9)
    assert gaussian_epsilon(5**0.5 / sigma, delta) * (1 - 1e-9) <= epsilon <= zcdp_epsilon(2.5 / sigma**2, delta) * (1 + 1e-12)
    if epsilon > 1e-9:
        assert discrete_gaussian_delta([1.0, 2.0], [sigma, sigma], epsilon * (1 - 1e-6)) > delta
