"""The covariance of 2,000 streamed runs on zeros is sigma^2 L L^T, within 5 standard errors.

Releases are whitened by the covariance they should have, w = C^{-1} (releases), C C^T = v L L^T + rounding. If that is right, the mean of
w w^T over runs is the identity. Ten statistics of it were fixed beforehand: the sum of its diagonal, those of its first 8 side
diagonals, and the sum of everything farther out. Each is a quadratic form w^T M w of variance 2 tr(M^2) + kappa sum_k (A^T M A)_kk^2,
with A = C^{-1} L sqrt(v) and kappa the draws' excess kurtosis.

False alarm: a mean over 2,000 runs lies beyond 5 standard errors with probability below 6.1e-7 for normal draws (saddlepoint), below
7.6e-7 for Laplace draws (Edgeworth with skewness up to 0.041 and excess kurtosis up to 0.0055, by simulation). Ten statistics of twelve
counters: below 9.2e-5 for all tests of this file together. `test_counter` compares all entries, one by one, within 6.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from mechanisms.continual.counter_design import CounterDesign, design_counter
from mechanisms.continual.counter_error import draw_variance, rounding_variance
from mechanisms.continual.factorization import left_matrix
from tests.mechanisms.continual.counters import GAUSSIAN, PURE, many_runs

HORIZON, N_RUNS, N_LAGS = 13, 2000, 9
STANDARD_ERRORS = 5.0
EVERY = [*((name, {"rho": 0.5}) for name in GAUSSIAN), *((name, {"epsilon": 2.0}) for name in PURE)]


def designed(name: str, budget: dict[str, float]) -> CounterDesign:
    return design_counter(HORIZON, mechanism=name, whole=False, **budget)


def streamed(design: CounterDesign, seed: int, noise_factor: float = 1.0) -> np.ndarray:
    """Releases of all runs, shape (steps, runs), in units; the coordinates of one counter are the runs."""
    counter = many_runs(design, N_RUNS, seed, noise_factor=noise_factor)
    return np.stack([np.asarray(counter.update(np.zeros(N_RUNS))) for _ in range(HORIZON)]) / design.domain.unit


def worst_statistic(design: CounterDesign, releases: np.ndarray) -> float:
    """Largest distance of the ten statistics from what they should be, in standard errors."""
    L, variance = left_matrix(design.factorization), draw_variance(design)
    root = linalg.cholesky(variance * L @ L.T + rounding_variance(design) * np.eye(HORIZON), lower=True)
    white = linalg.solve_triangular(root, releases, lower=True)
    a = linalg.solve_triangular(root, L, lower=True) * np.sqrt(variance)
    kurtosis = 3.0 if design.law == "discrete_laplace" else 0.0
    distances = []
    for M in quadratic_forms():
        spread = 2 * np.trace(M @ M) + kurtosis * ((a * (M @ a)).sum(axis=0) ** 2).sum()
        found = (white * (M @ white)).sum() / N_RUNS
        distances.append(abs(found - np.trace(M)) / np.sqrt(spread / N_RUNS))
    return float(max(distances))


def quadratic_forms() -> list[np.ndarray]:
    one_sided = [np.eye(HORIZON, k=lag) for lag in range(N_LAGS)] + [np.triu(np.ones((HORIZON, HORIZON)), N_LAGS)]
    return [(M + M.T) / 2 for M in one_sided]


@pytest.mark.parametrize(("name", "budget"), EVERY, ids=[f"{name}, {next(iter(budget))}" for name, budget in EVERY])
def test_covariance_within_five_standard_errors(name: str, budget: dict[str, float], rng: np.random.Generator):
    design, seeds = designed(name, budget), rng.integers(2**32, size=2).tolist()
    releases = streamed(design, seeds[0])
    assert worst_statistic(design, releases) < STANDARD_ERRORS
    # it can fail: a tenth less noise; the right variances without the covariances
    assert worst_statistic(design, streamed(design, seeds[1], noise_factor=0.9)) > STANDARD_ERRORS
    assert worst_statistic(design, rng.permuted(releases, axis=1)) > STANDARD_ERRORS


def test_twelve_counters_are_covered():
    assert len(EVERY) * len(quadratic_forms()) == 120, "the false-alarm probability in the head counts so many statistics"
