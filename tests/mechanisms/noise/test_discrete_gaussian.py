"""Discrete Gaussian: fit to its law, the exact sampler as oracle, the tables against mpmath, zCDP, and our own audit."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from attacks.scores import AttackCounts
from mechanisms.noise.discrete_gaussian import (
    _block_bits,
    _propose,
    _table,
    discrete_gaussian_tv,
    discrete_gaussian_variance,
    exact_discrete_gaussian,
    sample_discrete_gaussian,
)
from mechanisms.noise.source import SeededNoise
from privacy_audit.estimate.lower_bound import epsilon_lower_bound
from tests.mechanisms.noise.laws import FALSE_ALARM, gaussian_law, pvalue_of_fit, renyi
from tests.mechanisms.noise.test_exact import scripted

SIGMAS = [0.3, 1.0, 4.5, 256.0, 257.0, 3000.0]


@pytest.mark.parametrize("sigma", SIGMAS)
def test_fit(sigma: float, rng: np.random.Generator):
    draws = SeededNoise(int(rng.integers(2**32))).discrete_gaussian(sigma, 200_000)
    assert pvalue_of_fit(draws, gaussian_law(sigma), int(6 * sigma) + 1) > FALSE_ALARM
    assert pvalue_of_fit(draws, gaussian_law(0.9 * sigma), int(6 * sigma) + 1) < FALSE_ALARM  # it can fail


@pytest.mark.parametrize("sigma", [0.5, 3.0, 900.0])
def test_exact_sampler_has_the_same_law(sigma: float, rng: np.random.Generator):
    words = SeededNoise(int(rng.integers(2**32))).words
    draws = np.array([exact_discrete_gaussian(Fraction(sigma) ** 2, words) for _ in range(4000)])
    assert pvalue_of_fit(draws, gaussian_law(sigma), int(6 * sigma) + 1) > FALSE_ALARM
    assert pvalue_of_fit(draws, gaussian_law(0.7 * sigma), int(6 * sigma) + 1) < FALSE_ALARM


def test_large_sigma_is_nearly_normal(rng: np.random.Generator):
    for sigma in (1e5, 2.0**40):
        draws = SeededNoise(int(rng.integers(2**32))).discrete_gaussian(sigma, 100_000) / sigma
        assert abs(draws.mean()) < 5.2 / 316  # false alarm 2e-7
        assert abs(draws.var() - 1) < 5.2 * np.sqrt(2) / 316
        assert abs((np.abs(draws) < 0.6745).mean() - 0.5) < 5.2 * 0.5 / 316


@pytest.mark.parametrize("sigma", [0.3, 1.0, 20.0, 1000.0])
def test_table_within_its_total_variation(sigma: float):
    """The distribution a table draws from, in whole numbers, against 400-bit arithmetic."""
    table, k = _table(sigma), _block_bits(sigma)
    edges = [0, *((int(h) << 64) | int(low) for h, low in zip(table.high, table.low, strict=True)), 2**128]
    drawn = np.diff(np.array(edges, dtype=object))
    with mpmath.workprec(400):
        weight = [mpmath.exp(-((mpmath.mpf(x) * 2**k / sigma) ** 2) / 2) for x in range(table.first, table.first + 2 * len(drawn) + 50)]
        total = mpmath.fsum(weight) + (mpmath.fsum(weight[len(drawn) :]) if table.first else 0)
        distance = mpmath.fsum(abs(w / total - mpmath.mpf(int(d)) / 2**128) for w, d in zip(weight, drawn, strict=False))
        assert distance / 2 < table.tv_per_draw
    assert discrete_gaussian_tv(sigma) < 2.0**-100


def test_proposal_coins_are_decided_exactly():
    """With 2^32 values a block the first bits of the coin are few: words at the edge must ask for more."""
    sigma = 2.0**40
    k, table = _block_bits(sigma), _table(sigma)
    start = int(table.sample(scripted([2**62]), 1)[0]) << k
    place = (1 << k) - 1
    with mpmath.workprec(200):
        level = mpmath.exp(-mpmath.mpf(2 * start + place) * place / (2 * mpmath.mpf(sigma) ** 2))
        n_bits = 63 - k
        coin = int(mpmath.floor(level * 2**n_bits))
        rest = int(mpmath.floor((level * 2**n_bits - coin) * 2**64))
    word = (coin << (k + 1)) | (place << 1)
    for second, accepted in ((rest - 9, True), (rest + 9, False)):
        value, kept = _propose(sigma, k, table, 1, scripted([2**62, word, second]))
        assert (int(value[0]), bool(kept[0])) == (start + place, accepted)


@pytest.mark.parametrize("sigma", [0.2, 0.7, 1.0, 3.0, 19.0])
def test_variance_is_at_most_sigma_squared(sigma: float, rng: np.random.Generator):
    x = np.arange(-1000, 1001)
    variance = float((x**2 * gaussian_law(sigma)(x)).sum())
    assert discrete_gaussian_variance(sigma) == pytest.approx(variance, rel=1e-12)
    assert variance <= sigma**2 * (1 + 1e-12)
    draws = SeededNoise(int(rng.integers(2**32))).discrete_gaussian(sigma, 100_000)
    fourth = float((x.astype(np.float64) ** 4 * gaussian_law(sigma)(x)).sum())
    assert abs((draws.astype(float) ** 2).mean() - variance) < 6 * np.sqrt((fourth - variance**2) / 1e5) + 1e-4


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("sensitivity", [1, 3])
def test_renyi_divergence(sigma: float, sensitivity: int):
    """rho = Delta^2 / (2 sigma^2): no order has more, and whole orders of a whole shift have exactly that."""
    x = np.arange(-int(13 * sigma) - 60, int(13 * sigma) + 60)
    x = x[np.abs(x) < 26 * sigma]
    p, q = gaussian_law(sigma)(x), gaussian_law(sigma)(x - sensitivity)
    rho = sensitivity**2 / (2 * sigma**2)
    for order in (1.01, 1.5, 2.0, 5.0):
        assert renyi(p, q, order) <= order * rho * (1 + 1e-6)
    assert renyi(p, q, 2.0) == pytest.approx(2 * rho, rel=1e-3)
    p, q = gaussian_law(0.8 * sigma)(x), gaussian_law(0.8 * sigma)(x - sensitivity)
    assert renyi(p, q, 2.0) > 2 * rho  # noise that is too small


def test_audit(rng: np.random.Generator):
    """Sensitivity 1 at sigma 1, claimed at delta 1e-3; a twin with halved noise is caught. False alarm 1e-6."""
    epsilon, delta, n = 3.5, 1e-3, 30_000
    x = np.arange(-12, 13)
    assert np.maximum(gaussian_law(1.0)(x - 1) - np.exp(epsilon) * gaussian_law(1.0)(x), 0.0).sum() < delta
    source = SeededNoise(int(rng.integers(2**32)))

    def bound(sigma: float) -> float:
        absent, present = source.discrete_gaussian(sigma, n), 1 + source.discrete_gaussian(sigma, n)
        guesses = np.concatenate([present, absent]) >= 2
        counts = AttackCounts.from_predictions(np.arange(2 * n) < n, guesses)
        return epsilon_lower_bound(counts, delta=delta, level=1 - 1e-6).epsilon

    assert bound(1.0) <= epsilon
    assert bound(0.5) > epsilon


def test_draws_of_one_size_are_those_of_another():
    assert np.array_equal(sample_discrete_gaussian(5.0, 100, SeededNoise(3).words), SeededNoise(3).discrete_gaussian(5.0, (10, 10)).ravel())
