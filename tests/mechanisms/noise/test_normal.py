"""Normal floats: fit, pairs, and the distance from the ideal draws that the same bits stand for."""

from __future__ import annotations

from itertools import product

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, kstest, norm

from mechanisms.noise.normal import NORMAL_ERROR, standard_normal
from mechanisms.noise.source import SeededNoise
from tests.mechanisms.noise.laws import FALSE_ALARM
from tests.mechanisms.noise.test_exact import scripted


def test_fit(rng: np.random.Generator):
    draws = SeededNoise(int(rng.integers(2**32))).normal(2.0, 20_000)
    assert kstest(draws, norm(scale=2.0).cdf).pvalue > FALSE_ALARM
    assert kstest(draws, norm(scale=1.8).cdf).pvalue < FALSE_ALARM  # it can fail


def test_pairs_are_independent(rng: np.random.Generator):
    """The first half of a batch holds the cosines, the second the sines of the same pairs."""
    first, second = standard_normal(40_000, SeededNoise(int(rng.integers(2**32))).words).reshape(2, -1)
    assert kstest(first**2 + second**2, chi2(2).cdf).pvalue > FALSE_ALARM
    for joint in (first + second, first - second, np.where(first > 0, second, -second) * np.sqrt(2)):
        assert kstest(joint / np.sqrt(2), norm.cdf).pvalue > FALSE_ALARM
    assert kstest((first + np.abs(second)) / np.sqrt(2), norm.cdf).pvalue < FALSE_ALARM  # it can fail


def worst_distance(pair: np.ndarray, numerator: int, n_bits: int, far: bool, angle: int) -> float:
    """Largest distance from the ideal pairs whose bits start with these, in units of max(1, radius)."""
    worst = 0.0
    with mpmath.workprec(300):
        for v_end, phi_end in product((numerator, numerator + 1), (angle >> 2, (angle >> 2) + 1)):
            v = mpmath.mpf(max(v_end, mpmath.mpf(2) ** -200)) / mpmath.mpf(2) ** n_bits
            radius = mpmath.sqrt(-2 * mpmath.log(1 - v if far else v))
            phi = mpmath.mpf(phi_end) / mpmath.mpf(2) ** 62 * mpmath.pi / 2
            ideal = radius * mpmath.cos(phi) * (-1) ** (angle & 1), radius * mpmath.sin(phi) * (-1) ** (angle >> 1 & 1)
            worst = max(worst, *(float(abs(z - x) / max(1, radius)) for z, x in zip(pair.tolist(), ideal, strict=True)))
    return worst


ANGLES = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 1, 2**64 - 4]))
NUMERATORS = st.one_of(
    st.integers(2**49, 2**63 - 1), st.sampled_from([2**49, 2**50 - 1, 2**62, 2**63 - 1]), st.floats(49, 62.99).map(lambda e: int(2.0**e))
)


@given(numerator=NUMERATORS, far=st.booleans(), angle=ANGLES)
@settings(max_examples=200)
def test_close_to_the_ideal_pair(numerator: int, far: bool, angle: int):
    pair = standard_normal(2, scripted([numerator << 1 | far, angle]))
    assert worst_distance(pair, numerator, 64, far, angle) <= NORMAL_ERROR / 2  # what is proved
    np.testing.assert_array_equal(standard_normal(1, scripted([numerator << 1 | far, angle])), pair[:1])


@given(numerator=st.sampled_from([0, 1, 2**20, 2**49 - 1]), second=st.integers(2**49, 2**64 - 1), far=st.booleans(), angle=ANGLES)
def test_both_ends_ask_for_more_bits(numerator: int, second: int, far: bool, angle: int):
    pair = standard_normal(2, scripted([numerator << 1 | far, angle, second]))
    assert np.hypot(*pair) < 0.008 if far else np.hypot(*pair) > 4.5
    assert worst_distance(pair, numerator << 64 | second, 128, far, angle) <= NORMAL_ERROR / 2


def test_without_more_bits_the_ends_would_be_coarse():
    """Negative control: the middle of the first cell is no ideal draw's neighbor."""
    coarse = np.sqrt(-2 * np.log(0.5 * 2.0**-64)) * np.array([1.0, 0.0])
    assert worst_distance(coarse, 0, 64, False, 0) > NORMAL_ERROR


def test_the_tail_has_no_end():
    first, second = standard_normal(2, scripted([0, 2**61, 0, 0, 2**60]))
    assert np.hypot(first, second) == pytest.approx(np.sqrt(-2 * 196 * np.log(0.5)), rel=1e-14)
