"""Normal floats: fit, both tails alike, and the distance from the ideal draw that the same bits stand for."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy.stats import kstest, norm

from mechanisms.noise.normal import NORMAL_ERROR, standard_normal
from mechanisms.noise.source import SeededNoise
from tests.mechanisms.noise.laws import FALSE_ALARM
from tests.mechanisms.noise.test_exact import scripted


def test_fit(rng: np.random.Generator):
    draws = SeededNoise(int(rng.integers(2**32))).normal(2.0, 20_000)
    assert kstest(draws, norm(scale=2.0).cdf).pvalue > FALSE_ALARM
    assert kstest(draws, norm(scale=1.8).cdf).pvalue < FALSE_ALARM  # it can fail


def distance(z: float, numerator: int, n_bits: int) -> float:
    """Largest distance of |z| from the ideal draws whose tail probability starts with these bits."""
    with mpmath.workprec(300):

        def ideal(p: mpmath.mpf) -> mpmath.mpf:
            return mpmath.findroot(lambda x: mpmath.log(mpmath.erfc(x / mpmath.sqrt(2)) / 2) - mpmath.log(p), abs(z) or 1e-9)

        ends = [mpmath.mpf(end) / mpmath.mpf(2) ** n_bits for end in (numerator, numerator + 1) if end > 0]
        return max(float(abs(abs(z) - ideal(p))) for p in ends)


def test_close_to_the_ideal_draw(rng: np.random.Generator):
    numerators = [2**49, 2**49 + 1, 2**50 - 1, 2**62, 2**63 - 1, 2**63 - 2, *(int(2.0**e) for e in rng.uniform(49, 63, 40))]
    for numerator in numerators:
        z = standard_normal(1, scripted([numerator << 1]))[0]
        assert distance(z, numerator, 64) <= NORMAL_ERROR * max(1.0, abs(z))


@pytest.mark.parametrize("numerator", [0, 1, 2**20, 2**49 - 1])
def test_far_tail_asks_for_more_bits(numerator: int, rng: np.random.Generator):
    second = int(rng.integers(2**50, 2**63)) * 2 + 1
    high, low = (standard_normal(1, scripted([(numerator << 1) | sign, second]))[0] for sign in (0, 1))
    assert high == -low > 4
    assert distance(high, (numerator << 64) | second, 128) <= NORMAL_ERROR * high


def test_tail_has_no_end():
    z = standard_normal(1, scripted([0, 0, 0, 2**60]))[0]
    assert z == pytest.approx(float(-norm.ppf(2.0**-196)), rel=1e-12)


def test_signs_and_halves():
    z = standard_normal(2, scripted([2**64 - 2, 2**64 - 1]))
    assert np.all(np.abs(z) < 1e-15)
