"""Draws with a scale of their own: fit to their laws, with controls."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mechanisms.noise.discrete_gaussian import discrete_gaussian_tv
from mechanisms.noise.many_scales import next_in_grid, sample_discrete_gaussian_each
from mechanisms.noise.source import SecureNoise, SeededNoise
from tests.mechanisms.noise.laws import FALSE_ALARM, gaussian_law, pvalue_of_fit


@pytest.mark.parametrize("scales", [(0.3, 0.9), (5.0, 5.9), (230.0, 260.0)])
def test_fit(scales: tuple[float, float], rng: np.random.Generator):
    sigmas = np.tile(scales, 150_000)
    draws = SeededNoise(int(rng.integers(2**32))).discrete_gaussian_each(sigmas)
    for sigma in scales:
        mine = draws[sigmas == sigma]
        assert pvalue_of_fit(mine, gaussian_law(sigma), int(6 * sigma) + 1) > FALSE_ALARM
        assert pvalue_of_fit(mine, gaussian_law(0.95 * sigma), int(6 * sigma) + 1) < FALSE_ALARM
        assert pvalue_of_fit(mine, gaussian_law(float(next_in_grid(np.array([sigma]))[0])), int(6 * sigma) + 1) < FALSE_ALARM  # proposals


def test_many_scales_at_once(rng: np.random.Generator):
    """100,000 different sigmas: the standardized draws have variance 1. False alarm 2e-7."""
    sigmas = np.exp(rng.uniform(math.log(3), math.log(2.0**40), 100_000))
    z = SeededNoise(int(rng.integers(2**32))).discrete_gaussian_each(sigmas) / sigmas
    assert abs(z.var() - 1) < 5.2 * math.sqrt(2) / 316
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < 5.2 / 316


def test_grid():
    exponents = np.concatenate([np.linspace(-20, 40, 50_001), np.arange(-80, 161) / 4])
    sigmas = 2.0**exponents
    above = next_in_grid(sigmas)
    assert (above >= sigmas).all()
    assert (above < sigmas * 2**0.25 * (1 + 1e-12)).all()
    assert np.array_equal(next_in_grid(above), above)
    assert next_in_grid(np.array([2.0**40])) == 2.0**40
    assert len(np.unique(np.frexp(above)[0])) == 4  # octaves share tables


@pytest.mark.parametrize("sigma", [2.0**-3, 0.5, 2.0**2.25, 256.0, 2.0**8.25, 2.0**40])
def test_total_variation(sigma: float):
    assert 2 * discrete_gaussian_tv(sigma) < 2.0**-100


def test_one_scale_is_the_plain_sampler():
    draws = SeededNoise(3).discrete_gaussian_each([5.0] * 50)
    assert np.array_equal(draws, SeededNoise(3).discrete_gaussian(5.0, 50))
    assert SecureNoise().discrete_gaussian_each([]).shape == (0,)


def test_bad_scales():
    for sigmas in ([1.0, 0.0], [1.0, math.nan], [1.0, 2.0**41]):
        with pytest.raises(ValueError, match="sigma"):
            sample_discrete_gaussian_each(np.array(sigmas), SeededNoise(1).words)
    with pytest.raises(ValueError, match="one axis"):
        SeededNoise(1).discrete_gaussian_each([[1.0, 2.0]])
