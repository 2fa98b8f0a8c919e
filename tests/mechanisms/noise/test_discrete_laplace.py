"""Discrete Laplace: fit to its law, the exact sampler as oracle, digits, variance, and our own audit."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from attacks.scores import AttackCounts
from mechanisms.noise.discrete_laplace import (
    _tables,
    discrete_laplace_tv,
    discrete_laplace_variance,
    exact_discrete_laplace,
)
from mechanisms.noise.source import SeededNoise
from privacy_audit.estimate.lower_bound import epsilon_lower_bound
from tests.mechanisms.noise.laws import FALSE_ALARM, laplace_law, pvalue_of_fit


@pytest.mark.parametrize("scale", [0.2, 1.0, 7.5, 128.0, 129.0, 5000.0])
def test_fit(scale: float, rng: np.random.Generator):
    draws = SeededNoise(int(rng.integers(2**32))).discrete_laplace(scale, 200_000)
    assert pvalue_of_fit(draws, laplace_law(scale), int(12 * scale) + 1) > FALSE_ALARM
    assert pvalue_of_fit(draws, laplace_law(0.9 * scale), int(12 * scale) + 1) < FALSE_ALARM  # it can fail


@pytest.mark.parametrize("scale", [Fraction(1, 3), Fraction(5, 2), Fraction(700)])
def test_exact_sampler_has_the_same_law(scale: Fraction, rng: np.random.Generator):
    words = SeededNoise(int(rng.integers(2**32))).words
    draws = np.array([exact_discrete_laplace(scale, words) for _ in range(6000)])
    assert pvalue_of_fit(draws, laplace_law(float(scale)), int(12 * scale) + 1) > FALSE_ALARM
    assert pvalue_of_fit(draws, laplace_law(0.75 * float(scale)), int(12 * scale) + 1) < FALSE_ALARM


@pytest.mark.parametrize("scale", [1e6, 1e9, 2.0**40])
def test_large_scales(scale: float, rng: np.random.Generator):
    draws = SeededNoise(int(rng.integers(2**32))).discrete_laplace(scale, 100_000)
    assert abs(np.abs(draws / scale).mean() - 1) < 5.2 / 316  # |x| / scale is exponential; false alarm 2e-7
    assert abs((draws > 0).mean() - 0.5) < 5.2 * 0.5 / 316
    assert abs((np.abs(draws) > 3 * scale).mean() - np.exp(-3)) < 5.2 * np.sqrt(np.exp(-3)) / 316
    low = draws & 4095
    assert abs(low.mean() - 2047.5) < 5.2 * 1182.4 / 316 + 4095 * 4096 / scale


@pytest.mark.parametrize("scale", [0.2, 1.0, 128.0, 300.0, 1e5])
def test_tables_within_their_total_variation(scale: float):
    rate = 1 / Fraction(scale)
    for table in _tables(scale):
        edges = [0, *((int(h) << 64) | int(low) for h, low in zip(table.high, table.low, strict=True)), 2**128]
        drawn = np.diff(np.array(edges, dtype=object))
        with mpmath.workprec(400):
            a = mpmath.exp(-mpmath.mpf(rate.numerator) / rate.denominator)
            x = [abs(table.first + i) for i in range(len(drawn))]
            total = (1 + a) / (1 - a) if table.first else ((1 - a**4096) if len(drawn) == 4096 else 1) / (1 - a)
            distance = mpmath.fsum(abs(a**m / total - mpmath.mpf(int(d)) / 2**128) for m, d in zip(x, drawn, strict=True))
            assert distance / 2 < table.tv_per_draw
        rate *= 4096
    assert discrete_laplace_tv(scale) < 2.0**-100


@pytest.mark.parametrize("scale", [0.05, 0.5, 1.0, 30.0, 1e6])
def test_variance(scale: float, rng: np.random.Generator):
    a = np.exp(-1 / scale)
    assert discrete_laplace_variance(scale) == pytest.approx(2 * a / (1 - a) ** 2, rel=1e-8)
    draws = SeededNoise(int(rng.integers(2**32))).discrete_laplace(scale, 100_000).astype(np.float64)
    assert (draws**2).mean() == pytest.approx(2 * a / (1 - a) ** 2, rel=0.06, abs=1e-3)  # 8 standard errors at least


def test_privacy_loss_is_one_over_the_scale():
    x = np.arange(-200, 200)
    p, q = laplace_law(4.0)(x), laplace_law(4.0)(x - 1)
    assert np.abs(np.log(p / q)).max() == pytest.approx(0.25, rel=1e-9)


def test_audit(rng: np.random.Generator):
    """Sensitivity 1 at scale 1: epsilon is 1 and nearly reached; a twin with halved noise is caught. False alarm 1e-6."""
    source, n = SeededNoise(int(rng.integers(2**32))), 20_000

    def bound(scale: float) -> float:
        absent, present = source.discrete_laplace(scale, n), 1 + source.discrete_laplace(scale, n)
        counts = AttackCounts.from_predictions(np.arange(2 * n) < n, np.concatenate([present, absent]) >= 1)
        return epsilon_lower_bound(counts, level=1 - 1e-6).epsilon

    assert 0.8 < bound(1.0) <= 1.0
    assert bound(0.5) > 1.0
